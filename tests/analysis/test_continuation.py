"""Branches of textbook systems: their bifurcations at the published places, and the closed forms of training algorithms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)


class Logistic(gd.AbstractMap):
    r: jax.Array

    def __call__(self, x):
        return self.r * x * (1 - x)


class Delayed(gd.AbstractMap):
    """The delayed logistic map (Kuznetsov, 2004, example 4.3)."""

    r: jax.Array

    def __call__(self, x):
        return jnp.stack([self.r * x[0] * (1 - x[1]), x[0]])


class Henon(gd.AbstractMap):
    a: jax.Array

    def __call__(self, x):
        return jnp.stack([1 - self.a * x[0] ** 2 + x[1], 0.3 * x[0]])


class Loop(gd.AbstractFlow):
    p: jax.Array

    def __call__(self, x):
        return x**2 + self.p**2 - 1


class Chain(gd.AbstractFlow):
    """Two first-order reactions in a stirred tank: the demo `ab` of AUTO-07p (Doedel and others)."""

    p: jax.Array
    heat: jax.Array
    loss: jax.Array

    def __call__(self, u):
        rate = self.p * (1 - u[0]) * jnp.exp(u[1])
        return jnp.stack([rate - u[0], self.heat * rate - u[1] - self.loss * u[1]])


def parameter(system):
    return system.p


def specials(branch):
    return [(special.kind, float(special.value)) for special in branch.specials]


def test_the_hopf_points_of_lorenz_and_the_pitchfork_between():
    branch = gd.continuation(gd.textbook.Lorenz(10.0, 20.0, 8 / 3), lambda s: s.rho, jnp.array([7.0, 7.0, 19.0]), (0.5, 30.0))
    # rho_H = sigma (sigma + beta + 3) / (sigma - beta - 1), subcritical (Sparrow, 1982); at 1 the origin's branch crosses.
    assert [kind for kind, _ in specials(branch)] == ["Hopf", "branch point", "Hopf"]
    np.testing.assert_allclose([value for _, value in specials(branch)], [470 / 19, 1.0, 470 / 19], rtol=1e-10)
    assert [special.character for special in branch.specials] == ["subcritical", "supercritical", "subcritical"]
    # On the centre manifold at the origin z' = -(sigma / (1 + sigma)) z^3 / (2 beta), with |v| = 1.
    np.testing.assert_allclose(branch.specials[1].coefficient, -15 / 88, rtol=1e-9)
    # lambda^2 = -beta (sigma + rho).
    frequency = np.sqrt(8 / 3 * (10 + 470 / 19))
    np.testing.assert_allclose(branch.specials[0].eigenvalue, 1j * frequency, rtol=1e-9)
    rho, verdicts = np.asarray(branch.values), branch.stability.verdict
    assert set(verdicts[(rho > 1.1) & (rho < 24.7)]) == {"stable"}
    assert set(verdicts[rho > 24.8]) == {"unstable"}
    assert branch.ends == ("span", "span")
    assert "Hopf at 24.7368421053, subcritical" in str(branch)
    residual = jax.vmap(lambda r, x: gd.textbook.Lorenz(10.0, r, 8 / 3)(x))(branch.values, branch.states)
    assert np.abs(residual).max() < 1e-12


def test_the_branch_that_crosses_is_followed_from_the_branch_point():
    rest = gd.continuation(gd.textbook.Lorenz(10.0, 0.6, 8 / 3), lambda s: s.rho, jnp.zeros(3), (0.5, 30.0))
    assert specials(rest) == [("branch point", pytest.approx(1.0, rel=1e-12))]
    moving = gd.continuation(gd.textbook.Lorenz(), lambda s: s.rho, rest.specials[0], (0.9, 20.0))
    rho, x = np.asarray(moving.values), np.asarray(moving.states)
    np.testing.assert_allclose(x[:, 0] ** 2, 8 / 3 * (rho - 1), atol=1e-11)
    assert rho.max() == pytest.approx(20.0)
    assert np.ptp(np.sign(x[[0, -1], 0])) == 2


def test_the_period_doublings_of_the_logistic_map():
    flip = gd.continuation(Logistic(2.0), lambda s: s.r, jnp.array([0.5]), (0.5, 3.8))
    assert [kind for kind, _ in specials(flip)] == ["branch point", "flip"]
    np.testing.assert_allclose([value for _, value in specials(flip)], [1.0, 3.0], rtol=1e-12)
    assert flip.specials[1].character == "supercritical"
    # At r = 1 the map is x - x^2.
    assert flip.specials[0].character == "transcritical"
    np.testing.assert_allclose(flip.specials[0].coefficient, -1.0, rtol=1e-10)
    twice = gd.Iterated(Logistic(2.5), 2)
    single = gd.continuation(twice, lambda s: s.map.r, jnp.array([0.6]), (1.5, 3.8))
    double = gd.continuation(twice, lambda s: s.map.r, single.specials[-1], (1.5, 3.8))
    # The orbit of period two is born at 3 and doubles at 1 + sqrt(6) (May, 1976).
    kinds, values = zip(*specials(double), strict=True)
    assert kinds == ("flip", "branch point", "flip")
    np.testing.assert_allclose(values, [1 + 6**0.5, 3.0, 1 + 6**0.5], rtol=1e-11)
    # Both points of the orbit, from the flip of the map itself.
    orbit = gd.continuation(Logistic(2.0), lambda s: s.r, flip.specials[1], (1.5, 3.8))
    assert [special.times for special in orbit.specials] == [2, 2, 2]
    np.testing.assert_allclose([value for _, value in specials(orbit)], values, rtol=1e-11)
    r, x = np.asarray(orbit.values), np.asarray(orbit.states)[:, 0]
    np.testing.assert_allclose(r**2 * x**2 - r * (r + 1) * x + r + 1, 0.0, atol=1e-10)


def test_the_neimark_sacker_point_of_the_delayed_logistic_map():
    branch = gd.continuation(Delayed(1.5), lambda s: s.r, jnp.array([0.33, 0.33]), (1.2, 2.5))
    assert specials(branch) == [("Neimark-Sacker", pytest.approx(2.0, rel=1e-12))]
    # The multiplier is a sixth root of unity, and the circle attracts.
    np.testing.assert_allclose(branch.specials[0].eigenvalue, np.exp(1j * np.pi / 3), atol=1e-11)
    assert branch.specials[0].character == "supercritical"


def test_the_fold_and_the_flip_of_henon():
    branch = gd.continuation(Henon(0.1), lambda s: s.a, jnp.array([0.8, 0.2]), (-0.5, 1.0))
    # a = -(1 - b)^2 / 4 and 3 (1 - b)^2 / 4 (Hénon, 1976); where a passes zero the other fixed point is at infinity.
    assert [kind for kind, _ in specials(branch)] == ["fold", "flip"]
    np.testing.assert_allclose([value for _, value in specials(branch)], [-0.1225, 0.3675], rtol=1e-11)
    assert branch.ends == ("unbounded", "span")


def test_the_demo_ab_of_auto():
    branch = gd.continuation(Chain(0.0, 14.0, 2.0), parameter, jnp.zeros(2), (0.0, 0.15))
    # The manual of AUTO-07p prints LP at 0.105739 and 0.0889318, and HB at 0.108 (beyond the folds).
    folds = [value for kind, value in specials(branch) if kind == "fold"]
    np.testing.assert_allclose(folds, [0.1057390, 0.0889318], rtol=2e-6)
    (hopf,) = [value for kind, value in specials(branch) if kind == "Hopf"]
    assert 0.0889318 < hopf < 0.15


def test_a_loop_closes_and_its_folds_have_their_coefficient():
    branch = gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0))
    assert branch.ends == ("closed", "closed")
    assert specials(branch) == [("fold", pytest.approx(1.0, rel=1e-12)), ("fold", pytest.approx(-1.0, rel=1e-12))]
    # x' = x^2 + ...: the quadratic coefficient is one.
    np.testing.assert_allclose([special.coefficient for special in branch.specials], 1.0, rtol=1e-12)


def test_what_bounds_the_stable_steps_under_r1():
    step = gd.AltGD(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), 0.1)
    branch = gd.continuation(step, lambda s: s.h, ORIGIN, (0.01, 20.0))
    (special,) = branch.specials
    assert special.kind == "flip"
    np.testing.assert_allclose(special.value, gd.critical_step(step, ORIGIN).value, rtol=1e-9)


def test_a_rotation_meets_no_bifurcation():
    # Of the bilinear game every weight has a centre: the test function is zero to rounding, and has no sign.
    branch = gd.continuation(gd.games.bilinear(1.0), lambda s: s.c, ORIGIN, (0.5, 2.0))
    assert branch.specials == ()
    assert set(branch.stability.verdict) == {"marginal"}


def test_what_cannot_be_followed():
    with pytest.raises(ValueError, match="two increasing"):
        gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (2.0, -2.0))
    with pytest.raises(ValueError, match="outside the span"):
        gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (0.5, 2.0))
    with pytest.raises(ValueError, match="step must be positive"):
        gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0), step=0.0)
    fold = gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0)).specials[0]
    with pytest.raises(ValueError, match="At a fold no other branch"):
        gd.continuation(Loop(0.0), parameter, fold, (-2.0, 2.0))
    with pytest.raises(RuntimeError, match="within `points`"):
        gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0), points=5)
    short = gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0), points=5, throw=False)
    assert short.result == gd.RESULTS.branch_long
    assert short.ends == ("points", "points")
    with pytest.raises(RuntimeError, match="No equilibrium was found"):
        gd.continuation(Loop(3.0), parameter, jnp.array([1.0]), (2.0, 4.0))


def test_the_picture():
    loop = gd.continuation(Loop(0.0), parameter, jnp.array([1.0]), (-2.0, 2.0))
    ax = gd.plot.branch(loop, name="p")
    solid = [line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2]
    # x' = x^2 + ...: the lower half attracts.
    assert solid
    assert max(np.max(line.get_ydata()) for line in solid) < 1e-6
    assert sum(line.get_marker() == "s" for line in ax.lines) == 2
    assert ax.get_xlabel() == "p"


class Twins(gd.AbstractFlow):
    """Two Stuart-Landau oscillators that do not know of one another."""

    p: jax.Array

    def __call__(self, x):
        def spin(z):
            return jnp.stack([self.p * z[0] - z[1], z[0] + self.p * z[1]]) - z * (z @ z)

        return jnp.concatenate([spin(x[:2]), spin(x[2:])])


def test_several_modes_that_cross_at_once():
    # Two pairs: no product over modes changes its sign, but the verdict does.
    branch = gd.continuation(Twins(-0.3), parameter, jnp.zeros(4), (-1.0, 1.0))
    assert specials(branch) == [("several modes", pytest.approx(0.0, abs=1e-14))]
    np.testing.assert_allclose(branch.specials[0].eigenvalue, 1j, atol=1e-14)
    assert np.isnan(branch.specials[0].coefficient)
    assert "unstable     from" in str(branch)


def test_a_branch_that_ends_where_the_field_does():
    class Root(gd.AbstractFlow):
        p: jax.Array

        def __call__(self, x):
            return jnp.sqrt(self.p) - x

    branch = gd.continuation(Root(jnp.asarray(0.5)), parameter, jnp.array([0.7]), (-0.5, 1.0), throw=False)
    assert branch.ends == ("lost", "span")
    assert float(branch.values[0]) == pytest.approx(0.0, abs=1e-6)


def test_a_parameter_has_one_value():
    step = gd.AltGD(gd.games.dirac(), (0.1, 0.4))
    with pytest.raises(ValueError, match=r"\[0.1, 0.4\], and a parameter has one"):
        gd.continuation(step, lambda s: s.h, ORIGIN, (0.05, 1.0))
