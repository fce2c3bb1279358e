"""Sweeps against Python loops: chunks, nested axes, tied leaves, failures, interrupts and charts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.analysis import _bar, _grid, _sweep

ORIGIN = gd.Players(0.0, 0.0)
TRACES = []
GAMMA = {"gamma": (lambda s: s.flow.weight, np.linspace(0.1, 2.0, 7))}
BOTH = {**GAMMA, "h": (lambda s: s.h, np.linspace(0.2, 5.0, 4))}


def growth(system):
    TRACES.append("growth")
    return gd.stability(system, ORIGIN).growth


def verdict(system):
    return gd.stability(system, ORIGIN)


def fixed_point(system):
    return gd.equilibrium(system, gd.Players(0.3, 0.2))


def r1_step(gamma=0.3, h=0.1):
    return gd.AltGD(gd.Penalised(gd.games.dirac(), gd.r1, gamma), h)


@functools.cache
def loop():
    gammas, steps = (BOTH[name][1] for name in ("gamma", "h"))
    return np.array([[float(gd.stability(r1_step(g, h), ORIGIN).growth) for h in steps] for g in gammas])


def test_nested_axes_equal_a_python_loop():
    found = gd.sweep(growth, r1_step(), BOTH)
    assert list(found.axes) == ["gamma", "h"]
    assert found.complete
    np.testing.assert_allclose(found.values, loop(), rtol=1e-12)
    turned = gd.sweep(growth, r1_step(), dict(reversed(BOTH.items())))
    np.testing.assert_allclose(turned.values, loop().T, rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 8, 12, 28, 10_000])
def test_chunks_of_any_size_give_the_same(chunk):
    whole = gd.sweep(growth, r1_step(), BOTH)
    found = gd.sweep(growth, r1_step(), BOTH, chunk=chunk)
    assert found.values.shape == (7, 4)
    np.testing.assert_allclose(found.values, whole.values, rtol=1e-13)
    np.testing.assert_array_equal(found.axes["gamma"], GAMMA["gamma"][1])


@pytest.mark.parametrize(("shape", "chunk", "block"), [((7, 4), 8, (2, 4)), ((7, 4), 3, (1, 3)), ((9, 5, 4), 10, (1, 2, 4))])
def test_no_more_cells_are_computed_at_once_than_asked_for(shape, chunk, block):
    assert _grid.block_of(shape, chunk) == block


def test_new_values_do_not_trace_again():
    gd.sweep(growth, r1_step(), BOTH)
    before = len(TRACES)
    other = {name: (lambda s, where=where: where(s), values + 0.01) for name, (where, values) in BOTH.items()}
    gd.sweep(growth, r1_step(0.4, 0.2), other)
    assert len(TRACES) == before


def test_results_are_stacked_and_carry_their_verdicts():
    found = gd.sweep(verdict, r1_step(), BOTH).values
    assert isinstance(found, gd.Stability)
    assert found.eigenvalues.shape == (7, 4, 2)
    np.testing.assert_array_equal(found.verdict == "stable", loop() < 0)
    np.testing.assert_allclose(found.growth, loop(), rtol=1e-12)


def test_a_failing_cell_is_masked_and_says_why():
    class Narrow(gd.AbstractFlow):
        p: jax.Array

        def __call__(self, x):
            return -jnp.sqrt(self.p) * x

    axes = {"p": (lambda s: s.p, [-1.0, 4.0, -9.0, 16.0])}
    found = gd.sweep(at_zero, Narrow(jnp.asarray(1.0)), axes).values
    assert found.verdict.tolist() == ["failed", "stable", "failed", "stable"]
    np.testing.assert_array_equal(found.growth, [np.nan, -2, np.nan, -4])
    np.testing.assert_array_equal(found.result != gd.RESULTS.successful, [True, False, True, False])


def at_zero(system):
    return gd.stability(system, jnp.zeros(2))


def test_an_equilibrium_may_be_solved_for_in_every_cell():
    axes = {"target": (lambda s: s.real.atoms, np.linspace(-0.5, 0.5, 5))}
    found = gd.sweep(fixed_point, gd.games.dirac(), axes).values
    np.testing.assert_allclose(found.state.generator, axes["target"][1], atol=1e-12)


def test_a_lens_must_move_every_copy_of_a_game():
    game = gd.games.quadratic(0.3, 1.0, 0.2)
    flow = gd.consensus(game, 0.1, of=game)
    values = np.array([0.2, 0.6])
    with pytest.raises(ValueError, match="copy"):
        gd.sweep(growth, flow, {"a": (lambda s: s.flow.a, values)})
    tied = gd.sweep(growth, flow, {"a": (lambda s: (s.flow.a, s.of.a), values)})
    for value, found in zip(values, tied.values, strict=True):
        copy = gd.games.quadratic(value, 1.0, 0.2)
        np.testing.assert_allclose(found, gd.stability(gd.consensus(copy, 0.1, of=copy), ORIGIN).growth, rtol=1e-12)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "at least one axis"),
        ({"h": (lambda s: s.h, 0.1)}, "one-dimensional"),
        ({"h": (lambda s: s.h, [])}, "one-dimensional"),
        ({"h": (lambda s: s.h, [1j])}, "must be real"),
        ({"h": (lambda s: s.h, [[0.1, 0.2], [0.3]])}, "'h' are no numbers in a row"),
        ({"h": (lambda s: s.step, [0.1])}, "lens"),
        ({"h": (lambda s: 0.1, [0.1])}, "lens"),
        ({"h": (lambda s: s.h, [0.1]), "again": (lambda s: s.h, [0.2])}, "another axis"),
    ],
)
def test_axes_that_are_none_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        gd.sweep(growth, r1_step(), axes)


def test_an_interrupt_returns_what_was_finished(monkeypatch):
    real, calls = _sweep.evaluate, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(_sweep, "evaluate", interrupted)
    found = gd.sweep(growth, r1_step(), BOTH, chunk=8)
    assert not found.complete
    assert found.values.shape == (4, 4)
    np.testing.assert_array_equal(found.axes["gamma"], GAMMA["gamma"][1][:4])
    np.testing.assert_allclose(found.values, loop()[:4], rtol=1e-12)


def test_an_interrupt_before_anything_is_finished_is_passed_on(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_sweep, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gd.sweep(growth, r1_step(), BOTH)


def test_a_chart_of_ninety_thousand_cells_is_one_call():
    gammas, steps = np.linspace(0.0, 2.0, 300), np.linspace(0.01, 6.0, 300)
    axes = {"gamma": (lambda s: s.flow.weight, gammas), "h": (lambda s: s.h, steps)}
    found = gd.sweep(growth, r1_step(), axes)
    assert found.values.shape == (300, 300)
    trace = 2 - 0.25 * steps**2 - gammas[:, None] * steps
    determinant = 1 - gammas[:, None] * steps
    root = np.sqrt((trace**2 / 4 - determinant).astype(complex))
    radius = np.maximum(np.abs(trace / 2 + root), np.abs(trace / 2 - root))
    # Double multipliers are known to the root of a rounding.
    np.testing.assert_allclose(np.exp(found.values), radius, atol=1e-7)
    assert np.median(np.abs(np.exp(found.values) - radius)) < 1e-15


def test_the_log_of_a_job_has_a_line_a_minute_with_the_time_left(monkeypatch, capsys):
    gd.sweep(growth, r1_step(), BOTH, chunk=4)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_bar, "_LINE", 0.0)
    gd.sweep(growth, r1_step(), BOTH, chunk=4)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"sweep: {i} of 7 blocks" for i in range(8)]
    assert lines[-1].endswith("minutes left")
    gd.sweep(growth, r1_step(), BOTH, chunk=4, progress=False)
    assert capsys.readouterr().err == ""
