"""Derivatives of critical values: against closed forms and differences, and none where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)


def line(growth):
    """A mode with this growth beside one that decays."""
    return lambda p, c, x: jnp.stack([growth(p, c, x[0]) * x[0], -x[1]])


CASES = {
    "sine": line(lambda p, c, x: jnp.sin(c * p)),
    "two in one": line(lambda p, c, x: jnp.where(p > 1, (p - 2 * c) ** 3, c**2 - p**2)),
    "a pitchfork": line(lambda p, c, x: p - c**2 - x**2),
    "a flat growth": line(lambda p, c, x: (p - c) ** 3),
    "zero on one side": line(lambda p, c, x: jnp.maximum(p - c, 0.0)),
    "the end of a band": line(lambda p, c, x: jnp.where(jnp.abs(p) < c, jnp.nan, p)),
    "two modes": lambda p, c, x: (p - jnp.stack([c, 0.6 - c])) * x,
    "a defective mode": lambda p, c, x: (p - c) * x + jnp.stack([x[1], 0.0 * x[0]]),
    "where branches cross": line(lambda p, c, x: p - c - x),
}


class Case(gd.AbstractFlow):
    """One of the cases, so that all of them are one program."""

    case: jax.Array
    p: jax.Array
    c: jax.Array

    def __call__(self, x):
        return jax.lax.switch(self.case, list(CASES.values()), self.p, self.c, x)


def crossings(name, bracket):
    """The critical values of p as a function of c."""
    number = jnp.asarray(list(CASES).index(name))
    return lambda c: gd.threshold(Case(number, jnp.asarray(0.1), jnp.asarray(c)), lambda s: s.p, jnp.zeros(2), bracket).values


def r1(gamma):
    return gd.Penalised(gd.games.dirac(), gd.r1, gamma)


def simultaneous(gamma):
    return gd.critical_step(gd.SimGD(r1(gamma), 0.1), ORIGIN).value


def test_the_critical_steps_under_r1_have_their_closed_derivatives():
    """h = 4 gamma by a pair, 4/(gamma + r) with r^2 = gamma^2 - 1 by a real mode."""
    value, slope = jax.value_and_grad(simultaneous)(0.3)
    # The growth's slopes are derivatives of a 2 x 2 spectrum and exact to rounding; the located value is to some 1e-12.
    np.testing.assert_allclose([value, slope], [1.2, 4.0], rtol=1e-10)
    root = np.sqrt(1.5**2 - 1)
    np.testing.assert_allclose(jax.grad(simultaneous)(1.5), -4 / (1.5 + root) / root, rtol=1e-9)
    np.testing.assert_allclose(jax.jvp(simultaneous, (0.3,), (2.0,))[1], 8.0, rtol=1e-9)


def test_several_step_sizes_move_by_one_factor():
    """Alternating with the steps h and rho h: a flip where 4 = 2 rho gamma h + rho h^2/4."""

    def alternating(gamma, ratio):
        return gd.critical_step(gd.AltGD(r1(gamma), gd.Players(0.1, 0.1 * ratio)), ORIGIN).value

    def closed(gamma, ratio):
        return 4 * (jnp.sqrt(gamma**2 + 1 / ratio) - gamma)

    got, wanted = (jax.grad(f, (0, 1))(0.3, 0.7) for f in (alternating, closed))
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def test_every_crossing_has_its_own_derivative():
    """p = n pi / c, so that dp/dc = -n pi / c^2."""
    of = crossings("sine", (-5.0, 4.0))
    wanted = -np.pi / 4 * np.arange(-3, 3)
    np.testing.assert_allclose(jax.jacfwd(of)(2.0), wanted, atol=1e-11)
    np.testing.assert_allclose(jax.jacrev(of)(2.0), wanted, atol=1e-11)


def test_the_equilibrium_moves_with_every_leaf():
    """Lorenz: rho_H = sigma (sigma + beta + 3) / (sigma - beta - 1), at an equilibrium that depends on beta (Sparrow, 1982)."""

    def rho(sigma, beta):
        flow = gd.textbook.Lorenz(sigma, 20.0, beta)
        return gd.threshold(flow, lambda s: s.rho, jnp.array([7.0, 7.0, 19.0]), (15.0, 30.0)).value

    def closed(sigma, beta):
        return sigma * (sigma + beta + 3) / (sigma - beta - 1)

    got, wanted = (jax.grad(f, (0, 1))(10.0, 8 / 3) for f in (rho, closed))
    np.testing.assert_allclose(got, wanted, rtol=1e-8)


class Line(gd.AbstractMap):
    """Fixed points all along the first axis, with a multiplier -p/(cx^2) across it."""

    p: jax.Array
    c: jax.Array

    def __call__(self, x):
        return jnp.stack([x[0] + x[0] * x[1], -self.p / (self.c * x[0] ** 2) * x[1]])


def test_on_a_manifold_the_state_moves_across():
    """p = c x^2 at the state that is chosen."""

    def critical(c, chosen):
        along = gd.Manifold(jnp.array([[1.0], [0.0]]), 1, jnp.zeros(()))
        state = jnp.stack([chosen, jnp.zeros(())])
        return gd.threshold(Line(jnp.asarray(0.0), c), lambda s: s.p, state, (0.1, 2.0), modulo=along).value

    np.testing.assert_allclose(jax.grad(critical, (0, 1))(0.9, 1.1), [1.1**2, 2 * 0.9 * 1.1], rtol=1e-9)


@pytest.mark.parametrize("name", list(CASES)[3:])
def test_where_there_is_no_derivative_there_is_no_number(name):
    of = crossings(name, (-1.0, 1.1))
    assert of(0.3).size
    assert np.isnan(jax.jacrev(of)(0.3)).all()
    assert np.isnan(jax.jacfwd(of)(0.3)).all()


def test_the_double_eigenvalue_of_r1_has_none():
    """The slope is 4 on one side of gamma = 1 and infinite on the other."""
    assert np.isnan(jax.grad(simultaneous)(1.0))


def test_a_crossing_without_a_derivative_leaves_the_others_theirs():
    of = crossings("two in one", (0.0, 2.0))
    # The flat one has two edges of a marginal band.
    np.testing.assert_allclose(of(0.9), [0.9, 1.8, 1.8], rtol=1e-4)
    assert np.array_equal(np.isnan(jax.jacrev(of)(0.9)), [False, True, True])
    np.testing.assert_allclose(jax.grad(lambda c: of(c)[0])(0.9), 1.0, rtol=1e-10)


def test_a_pitchfork_is_no_obstacle():
    of = crossings("a pitchfork", (-1.0, 1.0))
    np.testing.assert_allclose(jax.jacrev(of)(0.3), [0.6], rtol=1e-10)


def test_what_cannot_be_differentiated_says_so():
    for transformed in (jax.jit(simultaneous), lambda gamma: jax.vmap(simultaneous)(jnp.array([gamma]))):
        with pytest.raises(ValueError, match="call it outside of them"):
            transformed(0.3)
    with pytest.raises(ValueError, match="first derivative only"):
        jax.grad(jax.grad(simultaneous))(0.3)


def test_a_lens_that_leaves_a_copy_behind_is_refused_under_a_derivative_too():
    def critical(b):
        game = gd.games.quadratic(0.3, b, 0.2)
        return gd.threshold(gd.consensus(game, 0.1, of=game), lambda s: s.flow.a, ORIGIN, (-2.0, 1.0)).value

    with pytest.raises(ValueError, match="copy"):
        jax.grad(critical)(1.0)
