import functools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
GAME = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)


def spectrum(step):
    return np.sort_complex(np.asarray(gd.stability(step, step.init(ORIGIN)).eigenvalues))


def every_three(learning_rate):
    return optax.MultiSteps(optax.sgd(learning_rate), 3, accumulator_dtype=jnp.float64).gradient_transformation()


def every_three_as_it_is(learning_rate):
    return optax.MultiSteps(optax.sgd(learning_rate), 3)


def schedule_free(learning_rate):
    return optax.contrib.schedule_free(optax.sgd(learning_rate), learning_rate, b1=0.9)


def test_injected_hyperparameters_are_no_coordinates():
    numbers = {"learning_rate": 1e-2, "b1": 0.5, "eps_root": 1e-2}
    plain = gd.Optax(GAME, optax.adam, **numbers)
    injected = gd.Optax(GAME, optax.inject_hyperparams(optax.adam), **numbers)
    found = gd.stability(injected, injected.init(ORIGIN))
    assert int(found.idle) == 10  # five numbers for each player
    # The same matrices; simple eigenvalues of size one.
    np.testing.assert_allclose(spectrum(injected), spectrum(plain), atol=1e-12)
    assert "10 numbers of the memory" in str(found)


@pytest.mark.parametrize(
    "step",
    [
        gd.Optax(GAME, every_three, learning_rate=0.1),
        gd.Random(gd.SimGD(GAME, 0.1), lambda key, step: step, jax.random.key(0)),
        gd.Optax(GAME, schedule_free, learning_rate=0.1),
    ],
    ids=["mini_step", "key", "weight_sum"],
)
def test_what_does_not_come_to_rest_is_named(step, request):
    name = request.node.callspec.id
    with pytest.raises(RuntimeError, match=rf"\.{name}"):
        gd.stability(step, step.init(ORIGIN))
    assert gd.stability(step, step.init(ORIGIN), throw=False).verdict == "undecided"


@pytest.mark.parametrize(
    ("factory", "precision"), [(every_three, 1e-12), (every_three_as_it_is, 1e-7)], ids=["double", "single"]
)
def test_a_periodic_clock_works_under_iterated(factory, precision):
    step = gd.Iterated(gd.Optax(GAME, factory, learning_rate=0.1), 3)
    # The mean of three equal gradients is one gradient; two accumulators are emptied. Optax gathers in single precision.
    values = -0.15 + 1j * np.sqrt(0.25 - 0.15**2) * np.array([-1, 1])
    found = spectrum(step)
    np.testing.assert_allclose(found[np.abs(found) > 0.5], 1 + 0.1 * values, atol=precision)
    assert np.sort(np.abs(found))[1] < 0.1 * precision
    if factory is every_three_as_it_is:
        # gamma / f'(0)^2, on a state of two precisions.
        assert float(gd.critical_step(step, step.init(ORIGIN)).value) == pytest.approx(1.2, rel=1e-6)


class Clocked(gd.AbstractMap):
    flow: gd.AbstractFlow
    h: float
    slowing: float

    def init(self, point):
        return point, jnp.zeros(())

    def point(self, state):
        return state[0]

    def __call__(self, state):
        x, t = state
        h = self.h / (1 + self.slowing * t)
        return jax.tree.map(lambda u, v: u + h * v, x, self.flow(x)), t + 1


def test_a_float_clock_counts_only_if_something_depends_on_it():
    counting, annealed = Clocked(GAME, 0.2, 0.0), Clocked(GAME, 0.2, 1.0)
    np.testing.assert_allclose(spectrum(counting), spectrum(gd.SimGD(GAME, 0.2)), atol=1e-14)
    with pytest.raises(RuntimeError, match=r"It is \[1\]"):
        gd.stability(annealed, annealed.init(ORIGIN))


def test_a_memory_that_is_not_at_rest_is_named():
    step = gd.Optax(GAME, optax.adam, learning_rate=1e-2, eps_root=1e-2)
    state = eqx.tree_at(lambda s: s.memory[0][0].nu, step.init(ORIGIN), jnp.asarray(0.1))
    with pytest.raises(RuntimeError, match=r"\.nu"):
        gd.stability(step, state)


@pytest.mark.parametrize("factory", [optax.adam, optax.lion, optax.sign_sgd], ids=["adam", "lion", "sign_sgd"])
@pytest.mark.parametrize("point", [ORIGIN, gd.Players(1e-30, -1e-30)], ids=["rest", "beside"])
def test_a_rule_without_a_derivative_at_rest_is_found_out(factory, point):
    step = gd.Optax(GAME, factory, learning_rate=1e-2)
    found = gd.stability(step, step.init(point), throw=False)
    assert found.verdict == "failed"
    if factory is not optax.sign_sgd:
        with pytest.raises(RuntimeError, match="eps_root"):
            gd.stability(step, step.init(point))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda step: gd.Iterated(step, 2),
        lambda step: gd.Projected(step, gd.Box(-1.0, 1.0, lambda s: s.point)),
        lambda step: gd.Averaged(step, 0.9),
        lambda step: gd.Lookahead(step, 2),
    ],
    ids=["Iterated", "Projected", "Averaged", "Lookahead"],
)
def test_wrappers_settle_clocks(wrap):
    step = wrap(gd.Optax(GAME, optax.adam, learning_rate=1e-2, eps_root=1e-2))
    settled = step.settle(step.init(ORIGIN))
    counters = [leaf for leaf in jax.tree.leaves(settled) if jnp.issubdtype(leaf.dtype, jnp.integer)]
    assert counters
    assert all(int(leaf) == np.iinfo(np.int32).max for leaf in counters)


RULES = {
    "sgd": (optax.sgd, {"momentum": 0.3}),
    "nesterov": (optax.sgd, {"momentum": 0.3, "nesterov": True}),
    "adam": (optax.adam, {"b1": 0.5, "eps_root": 1e-2}),
    "adam without momentum": (optax.adam, {"b1": 0.0, "eps_root": 1e-2}),
    "adam with much": (optax.adam, {"b1": 0.9, "b2": 0.9, "eps_root": 0.1}),
    "rmsprop": (optax.rmsprop, {"decay": 0.9, "eps": 0.1}),
    "optimistic adam": (optax.optimistic_adam_v2, {"eps_root": 1e-2}),
    "optimistic gradient": (optax.optimistic_gradient_descent, {}),
}


def of_one_rule(name, order):
    factory, numbers = RULES[name]
    return gd.Optax(GAME, factory, learning_rate=0.02, order=order, **numbers)


def of_one_rule_each(order):
    heavy, scaled = gd.Rule(optax.sgd, learning_rate=0.1, momentum=0.3), gd.Rule(optax.rmsprop, learning_rate=0.02, eps=0.1)
    return gd.Optax(GAME, (heavy, scaled), order=order)


def injected(order):
    return gd.Optax(GAME, optax.inject_hyperparams(optax.adam), learning_rate=0.02, b1=0.5, eps_root=1e-2, order=order)


def gathered(order):
    return gd.Iterated(gd.Optax(GAME, every_three, learning_rate=0.1, order=order), 3)


STEPS = {name: functools.partial(of_one_rule, name) for name in RULES}
STEPS |= {"one rule each": of_one_rule_each, "injected": injected, "gathered": gathered}


@pytest.mark.parametrize("order", [None, ("discriminator", "generator")], ids=["at once", "in turn"])
@pytest.mark.parametrize("name", STEPS)
def test_jacobians_of_optimisers_are_finite_differences_of_the_map(name, order):
    step = STEPS[name](order)
    state = step.settle(step.init(ORIGIN))
    moving, still = eqx.partition(state, eqx.is_inexact_array)
    vector, unravel = jax.flatten_util.ravel_pytree(moving)

    @jax.jit
    def image(v):
        return jax.flatten_util.ravel_pytree(eqx.filter(step(eqx.combine(unravel(v), still)), eqx.is_inexact_array))[0]

    delta = 1e-5
    columns = [(image(vector + delta * e) - image(vector - delta * e)) / (2 * delta) for e in jnp.eye(vector.size)]
    matrix = gd.linearize(step, state).as_matrix()
    # Central differences err by delta^2 times third derivatives, which the preconditioner makes as large as 0.02 / 0.01^1.5.
    np.testing.assert_allclose(matrix, np.stack(columns, axis=1), atol=1e-7)
