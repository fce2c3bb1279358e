import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
FLOW = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)


def matrix(step, x):
    return np.asarray(gd.linearize(step, x).as_matrix())


def test_counters_are_exact_in_iteration_and_no_coordinates():
    step = gd.Optax(FLOW, optax.adam, learning_rate=0.01, eps_root=1e-8)
    final = gd.iterate(step, step.init(gd.Players(0.3, 0.1)), 25, every=25).final
    assert {int(leaf) for leaf in jax.tree.leaves(final.memory) if jnp.issubdtype(leaf.dtype, jnp.integer)} == {25}
    assert matrix(step, step.settle(step.init(ORIGIN))).shape == (6, 6)


def test_an_optimiser_equals_a_plain_loop():
    rule, game = optax.adam(0.05, b1=0.5), FLOW
    x = gd.Players(jnp.asarray(0.4), jnp.asarray(-0.2))
    memory = [rule.init(part) for part in x]
    for _ in range(20):
        v = game(x)
        updates = [rule.update(-g, m) for g, m in zip(v, memory, strict=True)]
        memory = [m for _, m in updates]
        x = gd.Players(*(p + u for p, (u, _) in zip(x, updates, strict=True)))
    step = gd.Optax(game, optax.adam, learning_rate=0.05, b1=0.5)
    got = gd.iterate(step, step.init(gd.Players(0.4, -0.2)), 20, every=20).final.point
    np.testing.assert_allclose(np.array(got), np.array(x), rtol=1e-12)


def test_one_rule_for_each_player_and_alternation():
    rules = gd.Players(gd.Rule(optax.sgd, learning_rate=0.1), gd.Rule(optax.sgd, learning_rate=0.3))
    simultaneous, alternating = gd.Optax(FLOW, rules), gd.Optax(FLOW, rules, order=("generator", "discriminator"))
    x, h = gd.Players(0.4, -0.2), (0.1, 0.3)
    for step, plain in ((simultaneous, gd.SimGD(FLOW, h)), (alternating, gd.AltGD(FLOW, h))):
        got = gd.iterate(step, step.init(x), 10, every=10).final.point
        np.testing.assert_allclose(np.array(got), np.array(gd.iterate(plain, x, 10, every=10).final), rtol=1e-12)
    several = gd.Optax(FLOW, rules, order=("discriminator", "discriminator", "generator"))
    plain = gd.AltGD(FLOW, h, order=("discriminator", "generator"), steps=(2, 1))
    got = gd.iterate(several, several.init(x), 10, every=10).final.point
    np.testing.assert_allclose(np.array(got), np.array(gd.iterate(plain, x, 10, every=10).final), rtol=1e-12)
    assert several.evaluations() == plain.evaluations() == 1.5


def test_a_learning_rate_is_a_leaf():
    traces = []

    @eqx.filter_jit
    def growth(step):
        traces.append(1)
        return gd.stability(step, step.settle(step.init(gd.Players(jnp.zeros(()), jnp.zeros(()))))).growth

    rates = [growth(gd.Optax(FLOW, optax.rmsprop, learning_rate=r, eps=1e-2, decay=0.5)) for r in (0.001, 0.01)]
    assert len(traces) == 1
    assert rates[0] != rates[1]


def test_a_singular_preconditioner_is_explained():
    step = gd.Optax(FLOW, optax.adam, learning_rate=0.01)
    with pytest.raises(RuntimeError, match="eps_root"):
        gd.stability(step, step.settle(step.init(ORIGIN)))


def test_an_implicit_step_without_solution_is_no_state():
    class Explosive(gd.AbstractFlow):
        def __call__(self, x):
            return x**2 + 1

    step = gd.Implicit(Explosive(), 1.0)
    with pytest.raises(RuntimeError, match="implicit step has no solution"):
        gd.iterate(step, jnp.asarray([2.0]), 1)


class Agreeing(gd.AbstractFlow):
    """Two players who want the same."""

    def __call__(self, x):
        return gd.Players(2 * x.discriminator, 2 * x.generator)


SINGULAR = {
    "ridge": (gd.FollowTheRidge(gd.games.bilinear(), 0.1), "Follow-the-Ridge"),
    "competitive": (gd.Competitive(Agreeing(), 0.5), "competitive gradient descent"),
    "implicit": (gd.Implicit(gd.games.quadratic(-8.0, 0.0, 1.0), 0.125), "implicit step has no solution"),
    "implicit, a step each": (gd.Implicit(gd.games.quadratic(-8.0, 0.0, 1.0), (0.125, 0.125)), "implicit step has no solution"),
}


# Binary fractions, so that what is singular is singular in floating point too.
@pytest.mark.parametrize(("step", "message"), SINGULAR.values(), ids=SINGULAR)
def test_a_step_with_a_singular_system_is_explained(step, message):
    assert gd.stability(step, ORIGIN, throw=False).verdict == "failed"
    with pytest.raises(RuntimeError, match=message):
        gd.stability(step, ORIGIN)


@pytest.mark.parametrize("make", [gd.Implicit, gd.Competitive, gd.FollowTheRidge])
def test_steps_that_solve_differentiate_both_ways_and_again(make):
    step = make(FLOW, jnp.asarray(0.3))

    def image(theta):
        return step(gd.Players(theta, jnp.asarray(0.4))).discriminator

    theta, width = jnp.asarray(0.7), 1e-4
    slope = jax.jit(jax.jacfwd(image))
    assert float(jax.jit(jax.grad(image))(theta)) == pytest.approx(float(slope(theta)), rel=1e-12)
    bend = (slope(theta + width) - slope(theta - width)) / (2 * width)
    assert float(jax.jit(jax.jacfwd(slope))(theta)) == pytest.approx(float(bend), rel=1e-6)


def test_unrolling_no_further_than_the_best_answer_is_the_stackelberg_game():
    # V = -x^2/2 + 2xy - y^2/2 with y's answer 2x: the leader sees -x^2/2 + 2x^2 once h = 1 solves the inner problem at once.
    found = gd.stability(gd.Unrolled(gd.games.quadratic(-1.0, 2.0, 1.0), 1, 1.0), ORIGIN)
    np.testing.assert_allclose(sorted(found.eigenvalues.real), [-3.0, -1.0], rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_an_inner_maximisation_that_diverges_is_an_error(steps):
    # The inner loss y^2 / 2 - x y has curvature 1: steps below 2 shrink every displacement, longer ones do not.
    game = gd.games.quadratic(0.3, 1.0, 1.0)
    assert gd.stability(gd.Unrolled(game, steps, 1.99), ORIGIN).verdict == "stable"
    flow = gd.Unrolled(game, steps, 2.01)
    with pytest.raises(RuntimeError, match=r"inner maximisation diverges.*smaller inner step"):
        gd.stability(flow, ORIGIN)


@pytest.mark.parametrize("wrap", [lambda step: step, lambda step: gd.Scheduled(step, lambda s: s.h, lambda t: 0.1)])
def test_maps_pass_on_why_a_flow_has_no_value(wrap):
    step = wrap(gd.Momentum(gd.TimeScaled(gd.Unrolled(gd.games.quadratic(0.3, 1.0, 1.0), 2, 2.5), (1.0, 2.0)), 0.1, 0.5))
    with pytest.raises(RuntimeError, match="inner maximisation diverges"):
        gd.stability(step, step.init(ORIGIN))
    with pytest.raises(RuntimeError, match="inner maximisation diverges"):
        gd.iterate(step, step.init(gd.Players(0.1, 0.1)), 3)


def test_an_inner_problem_without_a_maximum_is_no_divergence():
    # At rest the Dirac-GAN's discriminator is on a plateau: displacements stay as large as they are, and nothing overshoots.
    assert gd.stability(gd.Unrolled(gd.games.dirac(), 5, 100.0), ORIGIN).verdict == "stable"


KINKED = gd.Penalised(gd.games.dirac(), gd.gradient_penalty(1.0), 0.3)


@pytest.mark.parametrize(
    "step",
    [
        gd.ExtraGradient(KINKED, 0.1),
        gd.Iterated(gd.SimGD(KINKED, 0.1), 2),
        gd.Averaged(gd.Momentum(KINKED, 0.1, 0.2), 0.9),
        gd.Scheduled(gd.Lookahead(gd.SimGD(KINKED, 0.1), 2), lambda s: s.alpha, lambda t: 0.5),
    ],
    ids=["ExtraGradient", "Iterated", "Averaged", "Scheduled"],
)
def test_maps_pass_on_the_kinks_of_a_flow(step):
    assert np.any(np.asarray(step.switches(step.init(gd.Players(jnp.zeros(()), jnp.zeros(()))))) == 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Lookahead(gd.SimGD(FLOW, 0.1), 0), "at least one inner step"),
        (lambda: gd.Iterated(gd.SimGD(FLOW, 0.1), 0), "at least once"),
        (lambda: gd.Unrolled(FLOW, 0, 0.1), "at least one step"),
        (lambda: gd.Unrolled(FLOW, 1, -0.1), "positive"),
        (lambda: gd.Momentum(FLOW, 0.0, 0.5), "positive and finite"),
        (lambda: gd.Optax(FLOW, optax.sgd, learning=0.1), "does not take"),
        (lambda: gd.Optax(FLOW, 3), "factory"),
        (lambda: gd.Optax(FLOW, gd.Rule(optax.sgd, learning_rate=0.1), b1=0.5), "inside the rules"),
        (lambda: gd.Optax(FLOW, optax.sgd(0.1)), "a factory and its numbers"),
        (lambda: gd.RungeKutta(FLOW, 0.1, "rk4"), "explicit tableau"),
        (lambda: gd.RungeKutta(FLOW, 0.1, diffrax.Kvaerno3()), "Implicit steps are gd.Implicit"),
        (lambda: gd.Tableau(((0.5,),), (1.0,)), "rows of 1 to 0 entries"),
        (lambda: gd.Tableau(((0.5, 0.5), (1.0,)), (0.0, 0.0, 1.0)), "rows of 1 to 2 entries"),
        (lambda: gd.Tableau(((0.5,),), (0.5, 1.0)), "add up to one"),
        (lambda: gd.Projected(gd.SimGD(FLOW, 0.1), lambda x: x), "Projected needs a constraint"),
        (lambda: gd.Lookahead(gd.SimGD(FLOW, 0.1), 2.5), "at least one inner step"),
        (lambda: gd.Iterated(gd.SimGD(FLOW, 0.1), 2.5), "at least once"),
        (lambda: gd.Unrolled(FLOW, 2.5, 0.1), "at least one step"),
        (lambda: gd.Minibatch(lambda s: s.flow.real, 0), "at least one point"),
        (lambda: gd.AltGD(FLOW, 0.1, steps=(0, 1)), "at least one step"),
        (lambda: gd.Lookahead(gd.SimGD(FLOW, 0.1), 2, 1.5), "alpha must lie between 0 and 1; got 1.5"),
        (lambda: gd.Averaged(gd.SimGD(FLOW, 0.1), -0.1), "decay must lie between 0 and 1; got -0.1"),
        (lambda: gd.Implicit(FLOW, 0.1, 2.0), "theta must lie between 0 and 1; got 2.0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_methods_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.usefixtures("unchecked")
def test_settings_are_taken_as_people_write_them():
    assert gd.RungeKutta(FLOW, 0.1, diffrax.Euler()).tableau == gd.EULER
    assert gd.Tableau([[0.5]], np.array([0, 1])) == gd.MIDPOINT
    assert float(gd.Optax(FLOW, optax.sgd, learning_rate=1).step_size()) == 1.0
    # Lists, and counts from NumPy, are no other algorithm and compile nothing anew.
    order, plain = ["discriminator", "generator"], gd.AltGD(FLOW, 0.1, ("discriminator", "generator"), (1, 2))
    assert jax.tree.structure(gd.AltGD(FLOW, 0.1, order, [1, np.int64(2)])) == jax.tree.structure(plain)
    assert gd.Momentum(FLOW, 0.1, 0.5, order=order).order == gd.Optax(FLOW, optax.sgd, order=order, learning_rate=1).order
    assert gd.Lookahead(plain, np.int64(2)).steps == gd.Iterated(plain, np.int64(2)).times == 2


SGD, ADAM = (gd.Optax(FLOW, factory, learning_rate=0.1) for factory in (optax.sgd, optax.adam))


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (gd.Momentum(FLOW, 0.1, 0.5), ORIGIN),
        (SGD, ADAM.init(ORIGIN)),
        (ADAM, SGD.init(ORIGIN)),
        (ADAM, gd.Optax(FLOW, optax.rmsprop, learning_rate=0.1).init(ORIGIN)),
        (ADAM, ADAM.init(ORIGIN)._replace(memory=ADAM.init(ORIGIN).memory[:1])),
        (ADAM, ADAM.init(ORIGIN)._replace(memory=ADAM.init(gd.Players(jnp.zeros(2), jnp.zeros(2))).memory)),
    ],
    ids=["a bare point", "more memory", "less memory", "another chain", "one player's", "another shape"],
)
def test_a_state_of_the_wrong_structure_names_both_and_init(step, state):
    with pytest.raises(ValueError, match=r"the state (Optimised|Players)\((.|\n)*map\.init|map\.init(.|\n)*is expected"):
        gd.stability(step, state)
