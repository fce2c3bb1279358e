"""Outcomes: the first failure counts, and a failure outside compiled code is raised."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from gandyn import RESULTS
from gandyn._results import check, first, message, worst

YES, NO = jnp.array(True), jnp.array(False)
FAILURES = [name for name in RESULTS._name_to_item if name != "successful"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), RESULTS.successful),
        (((NO, RESULTS.nonfinite),), RESULTS.successful),
        (((YES, RESULTS.nonfinite), (YES, RESULTS.switching)), RESULTS.nonfinite),
        (((NO, RESULTS.nonfinite), (YES, RESULTS.switching)), RESULTS.switching),
    ],
)
def test_worst_is_the_first_that_holds(pairs, expected):
    assert bool(worst(*pairs) == expected)


def test_first_keeps_a_failure():
    assert bool(first(RESULTS.nonfinite, RESULTS.successful) == RESULTS.nonfinite)
    assert bool(first(RESULTS.successful, RESULTS.max_steps) == RESULTS.max_steps)
    assert bool(first(RESULTS.nonfinite, RESULTS.max_steps) == RESULTS.nonfinite)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_to_try(name):
    failure = getattr(RESULTS, name)
    assert len(message(failure).split(". ")) >= 2 or ": " in message(failure)
    with pytest.raises(RuntimeError, match="verb: "):
        check(failure, True, "verb: ")
    check(failure, False, "verb: ")


def test_success_is_silent():
    assert message(RESULTS.successful) == ""
    check(RESULTS.successful, True)


def test_nothing_is_raised_inside_compiled_code():
    @eqx.filter_jit
    def run(failed):
        result = worst((failed, RESULTS.nonfinite))
        check(result, True)
        return result

    assert bool(run(YES) == RESULTS.nonfinite)


def test_lanes_are_counted():
    lanes = jax.vmap(lambda failed: worst((failed, RESULTS.nonfinite)))(jnp.array([True, False, True]))
    with pytest.raises(RuntimeError, match="2 of 3 lanes"):
        check(lanes, True, "verb: ")
