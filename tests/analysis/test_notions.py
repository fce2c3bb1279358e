"""Nash, Stackelberg, proximal: against matrices in many digits, by hand, beyond second order, with constraints."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jaxtyping import Array

import gandyn as gd
from gandyn.analysis._schur import schur

ORIGIN = gd.Players(0.0, 0.0)
HOLDS = ("strict", "weak")


def say(game, x=ORIGIN, **settings):
    return gd.notions(game, x, **settings)


# Quadratic games, degenerate ones among them


def least(matrix):
    return min(mpmath.eigsy(mpmath.matrix(matrix.tolist()), eigvals_only=True)) if matrix.size else mpmath.inf


def word(*values):
    """The verdict on forms that are exact to sixty digits."""
    tiny = mpmath.mpf(10) ** -9
    return "no" if min(values) < -tiny else "strict" if min(values) > tiny else "weak"


def answered(a, b, c, lam):
    """The generator's form with a vanishing price added: in the limit infinite wherever the generalised one is not defined."""
    inverse = mpmath.inverse(
        mpmath.matrix((b + 2 * lam * np.eye(len(b))).tolist()) + mpmath.mpf(10) ** -25 * mpmath.eye(len(b))
    )
    form = mpmath.matrix(a.tolist()) + mpmath.matrix(c.tolist()) * inverse * mpmath.matrix(c.T.tolist())
    return min(mpmath.eigsy((form + form.T) / 2, eigvals_only=True))


def drawn(rng, n, m):
    """Integers, so that a rank is what it is."""
    ranks = rng.integers(0, n + 1), rng.integers(0, m + 1), rng.integers(0, min(n, m) + 1)
    left, right, factor = rng.integers(-2, 3, (n, ranks[0])), rng.integers(-2, 3, (m, ranks[1])), rng.integers(-1, 2, ranks[0])
    a, b = left * factor @ left.T, right @ right.T
    c = rng.integers(-1, 2, (n, ranks[2])) @ rng.integers(-1, 2, (ranks[2], m))
    return a.astype(float), b.astype(float), c.astype(float)


CASES = [(n, m, seed) for (n, m), count in (((1, 1), 12), ((3, 2), 12), ((6, 6), 12)) for seed in range(count)]


@pytest.mark.parametrize(("n", "m", "seed"), CASES)
def test_quadratic_games_agree_with_their_matrices(n, m, seed):
    a, b, c = drawn(np.random.default_rng(seed), n, m)
    found = say(gd.games.quadratic(a, c, b), gd.Players(jnp.zeros(n), jnp.zeros(m)))
    with mpmath.workdps(60):
        inner = least(b)
        assert found.nash.verdict == word(least(a), inner)
        assert found.stackelberg.verdict == word(answered(a, b, c, 0.0), inner)
        # Where the limit is not on the verge at these prices by chance, the verdicts at them are as the matrices say.
        lams = (1e-3, 0.1, 0.7, 5.3, 1e3)
        for lam in lams:
            assert found.proximal_at(lam) == word(answered(a, b, c, lam), inner)
        limit = float(found.proximal)
        if 0 < limit < np.inf:
            # The threshold is a root to 1e-9.
            assert answered(a, b, c, limit * (1 - 1e-9)) >= -1e-20
            assert answered(a, b, c, limit * (1 + 1e-9)) < 0
    verdicts = [found.stackelberg.verdict, *map(found.proximal_at, lams), found.nash.verdict]
    holding = [verdict in HOLDS for verdict in verdicts]
    assert holding == sorted(holding, reverse=True), "proximal at a price is proximal at every lower one"
    assert np.isnan(limit) == (not holding[0])
    assert np.isinf(limit) == holding[-1]


@pytest.mark.parametrize(("a", "c", "b"), [(-1.0, 3.0, 1.0), (-0.3, 1.7, 0.0), (-2.0, 2.0, 1.5)])
def test_the_whole_range_of_a_quadratic_game(a, c, b):
    found = say(gd.games.quadratic(a, c, b))
    lam = (c**2 / -a - b) / 2
    assert float(found.proximal) == pytest.approx(lam, rel=1e-12)
    assert float(found.proximal_error) < 1e-11
    assert [found.proximal_at(value) in HOLDS for value in (0.0, 0.99 * lam, 1.01 * lam, jnp.inf)] == [True, True, False, False]
    assert found.proximal_at(found.proximal) == "undecided"
    with pytest.raises(ValueError, match="must not be negative"):
        found.proximal_at(-1.0)


# Beyond second order


class Polynomial(gd.AbstractGame):
    """Zero-sum: monomials of both numbers, by their powers."""

    coefficients: Array

    def losses(self, x):
        powers = [jnp.stack([jnp.ones_like(u), u, u * u, u * u * u, u * u * u * u]) for u in x]
        value = powers[0] @ self.coefficients @ powers[1]
        return value, -value


def polynomial(**terms):
    table = np.zeros((5, 5))
    for name, value in terms.items():
        table[int(name[1]), int(name[2])] = value
    return Polynomial(jnp.asarray(table))


BEYOND = {
    # name: (terms t^i p^j as cij, Nash, Stackelberg)
    "quartic generator": ({"c40": 1, "c02": -1}, "strict", "strict"),
    "cubic generator": ({"c30": 1, "c02": -1}, "no", "no"),
    "a maximum of fourth order": ({"c40": -1, "c02": -1}, "no", "no"),
    "quartic discriminator": ({"c20": 1, "c04": -1}, "strict", "strict"),
    "cubic discriminator": ({"c20": 1, "c03": 1}, "no", "no"),
    # The discriminator's null space is of no help to it: V = -t^2 + O(t^2 p).
    "quartic discriminator, concave generator": ({"c20": -1, "c04": -1}, "no", "no"),
    "helps one way only": ({"c20": -1, "c12": 1, "c04": -1}, "no", "no"),
    # With p = h(|t|) >> |t|^(1/3) the maximum of -t^2 + t p^3 is positive: a local minimax point, beyond any order here.
    "helps both ways": ({"c20": -1, "c13": 1}, "no", "undecided"),
    # The best answer is p = t + t^2, so that max V = t^4 / 2, less t^4 in the first: V at p = 0 knows nothing of it.
    "coupled, below": ({"c20": -0.5, "c11": 1, "c02": -0.5, "c21": 1, "c30": -1, "c40": -1}, "no", "no"),
    "coupled, above": ({"c20": -0.5, "c11": 1, "c02": -0.5, "c21": 1, "c30": -1}, "no", "strict"),
    "nothing at all": ({}, "weak", "weak"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_singular_forms_are_decided_by_what_lies_beyond(name):
    terms, nash, stackelberg = BEYOND[name]
    found = say(polynomial(**terms))
    assert (found.nash.verdict, found.stackelberg.verdict) == (nash, stackelberg)
    if stackelberg == "undecided":
        assert found.proximal_result == gd.RESULTS.undecided


class Measured(Polynomial):
    """The same, evaluated to a relative error."""

    error: float = eqx.field(static=True)

    def precision(self, x):
        return self.error


def test_every_price_needs_a_zero_that_is_one():
    # V = k t^2 + 3tp - p^2/2 - 100 t^4 is proximal at every price for k = 0, and up to some 2e6 only for k = -1e-6.
    terms = polynomial(c11=3, c02=-0.5, c40=-100).coefficients
    sharp, rough = (say(Measured(terms, error)) for error in (1e-12, 1e-7))
    assert float(sharp.nash.generator.error) < 1e-9 < 1e-6 < float(rough.nash.generator.error)
    assert np.isinf(sharp.proximal)
    assert rough.proximal_result == gd.RESULTS.undecided
    assert (sharp.proximal_at(10.0), rough.proximal_at(10.0)) == ("strict", "strict")


class Turned(gd.AbstractGame):
    """V = -x^2/2 + 3xp - p^2/2 + (r - 1)^2 / 8 of the radius r of two further numbers, which may turn about zero."""

    def losses(self, x):
        (u, a, b), p = x
        value = -(u**2) / 2 + 3 * u * p - p**2 / 2 + (jnp.sqrt(a**2 + b**2) - 1) ** 2 / 8
        return value, -value


def test_a_flat_direction_leaves_the_threshold_of_the_others():
    found = say(Turned(), gd.Players((0.0, 0.6, 0.8), 0.0))
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "weak")
    assert float(found.proximal) == pytest.approx(4, rel=1e-12)
    assert [found.proximal_at(lam) for lam in (3.9, 4.1)] == ["weak", "no"]


class Overparametrised(gd.AbstractGame):
    """V = p (ab - 1) - p^2 / 2, whose equilibria are ab = 1, p = 0; the discriminator has an idle number."""

    def losses(self, x):
        (a, b), (p, _) = x
        value = p * (a * b - 1) - p**2 / 2
        return value, -value


def test_a_manifold_of_equilibria_is_weak_and_its_curvature_no_descent():
    found = say(Overparametrised(), gd.Players((2.0, 0.5), (0.0, 0.3)))
    assert (found.nash.verdict, found.stackelberg.verdict, found.proximal_at(1.0)) == ("weak", "weak", "weak")
    assert np.isinf(found.proximal)
    # The Hessian of (ab - 1)^2 / 2 by hand.
    np.testing.assert_allclose(found.stackelberg.generator.eigenvalues, [0, 4.25], atol=1e-12)


def test_an_equilibrium_of_higher_order_that_is_known_only_to_some_digits():
    # At 1e-5 the third derivative does not vanish and the second is 1e-9; both belong to the fourth.
    assert say(polynomial(c40=1, c02=-1), gd.Players(1e-5, 0.0)).nash.verdict == "strict"


# Games that are not zero-sum


class General(gd.AbstractGame):
    a: float
    c: float
    f: float
    b: float
    e: float
    g: float = 0.0

    def losses(self, x):
        t, p = x
        return self.a * t**2 / 2 + self.c * t * p + self.f * p**2 / 2 + self.g * p, self.b * p**2 / 2 - self.e * t * p


def test_the_followers_own_loss_gives_the_answer():
    game = General(-1.0, 2.0, -0.7, 1.5, 1.2)
    found = say(game)
    r = 1.2 / 1.5
    assert float(found.stackelberg.generator.eigenvalues[0]) == pytest.approx(-1 + 4 * r - 0.7 * r**2, rel=1e-13)

    @jax.jit
    def second(lam):
        priced = gd.Proximal(game, lam)
        return jax.grad(jax.grad(lambda t: priced.losses(gd.Players(t, jnp.zeros(())))[0]))(jnp.zeros(()))

    for lam in (0.4, 2.0):
        assert float(schur(found.blocks, lam).form[0, 0]) == pytest.approx(float(second(lam)), rel=1e-9)
    limit = float(found.proximal)
    q = 1.2 / (1.5 + 2 * limit)
    assert -1 + 4 * q - (0.7 + 2 * limit) * q**2 == pytest.approx(0, abs=1e-11)
    assert [found.proximal_at(limit * s) for s in (0.9, 1.1)] == ["strict", "no"]


def test_a_leader_that_gains_to_first_order_is_no_stackelberg():
    found = say(General(1.0, 0.0, 0.0, 1.0, 1.0, 0.5))
    assert (found.nash.verdict, found.stackelberg.verdict) == ("strict", "no")
    assert found.proximal_result == gd.RESULTS.not_stackelberg
    # Without an answer to first order nothing of second order is known either.
    assert say(General(1.0, 0.0, 0.0, 1.0, 0.0, 0.5)).stackelberg.verdict == "undecided"


# Constraints


class Bowl(gd.AbstractGame):
    """The generator's loss in the plane is a quadratic form and a slope; the discriminator's is its square."""

    form: Array
    slope: Array

    def losses(self, x):
        u, p = x
        return u @ self.form @ u / 2 + self.slope @ u, p**2 / 2


def _g(x):
    return x.generator


@pytest.mark.parametrize(("k", "verdict"), [(-0.9, "strict"), (-1.1, "no")])
def test_a_curved_boundary_counts(k, verdict):
    # On the unit circle the loss is -cos(t) + k sin(t)^2 / 2, of curvature 1 + k.
    game = Bowl(jnp.diag(jnp.array([0.0, k])), jnp.array([-1.0, 0.0]))
    found = say(game, gd.Players(jnp.array([1.0, 0.0]), 0.0), constraint=gd.Ball(1.0, _g))
    assert found.nash.verdict == verdict
    np.testing.assert_allclose(found.nash.generator.eigenvalues, [1 + k], rtol=1e-12)


def test_fourth_order_along_a_curved_boundary():
    # k = -1: -cos(t) - sin(t)^2 / 2 = -1 + t^4 / 8 + ...
    game = Bowl(jnp.diag(jnp.array([0.0, -1.0])), jnp.array([-1.0, 0.0]))
    assert say(game, gd.Players(jnp.array([1.0, 0.0]), 0.0), constraint=gd.Ball(1.0, _g)).nash.generator.verdict == "strict"


@pytest.mark.parametrize(
    ("cross", "slope", "verdict"),
    [(2.0, 0.0, "strict"), (-2.0, 0.0, "no"), (-1.0, 0.0, "undecided"), (-2.0, 0.1, "strict"), (-2.0, 1e-9, "undecided")],
)
def test_a_cone_of_constraints_without_force(cross, slope, verdict):
    # u^2/2 + cross u v + v^2/2 for u, v >= 0: copositive from cross = -1 on, though not definite at 2; a slope holds u at zero.
    game = Bowl(jnp.array([[1.0, cross], [cross, 1.0]]), jnp.array([slope, 0.0]))
    found = say(game, gd.Players(jnp.zeros(2), 0.0), constraint=gd.Box(0.0, 1.0, _g))
    assert found.nash.generator.verdict == verdict


def test_a_discriminator_between_less_and_more_freedom():
    # V = a x^2/2 + 3xp - p^2/2 with p >= 0 at the origin, where the bound has no force: the answer is max(3x, 0), so that
    # the curvature is a to the left and a + 9 to the right.
    within = gd.Box(0.0, 1.0, lambda x: x.discriminator)
    verdicts = [say(gd.games.quadratic(a, 3.0, 1.0), constraint=within).stackelberg.verdict for a in (1.0, -1.0, -10.0)]
    assert verdicts == ["strict", "undecided", "no"]


@pytest.fixture(scope="module")
def w2():
    return gd.games.w2_gaussian(4.0)


@pytest.mark.parametrize("sigma", [1.05, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0])
def test_the_w2_gan_in_the_sobolev_norm(w2, sigma):
    game = eqx.tree_at(lambda g: g.real.covariance, w2, jnp.full_like(w2.real.covariance, sigma**2))
    point = gd.Players((1.0, 0.0), (1 - 1 / sigma, 0.0))
    found = say(game, point, norm=gd.sobolev, constraint=gd.games.unit_generator())
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "strict")
    assert float(found.proximal) == pytest.approx(sigma / (4 * (sigma - 1)), rel=1e-9)
    assert abs(float(found.proximal) - sigma / (4 * (sigma - 1))) <= float(found.proximal_error) + 1e-15 * sigma


class Plane(gd.AbstractGame):
    """The W2GAN in the plane by its closed form: data of variances 4 and 1/4, D = x'Lx + g'x, G = Az + b."""

    def losses(self, x):
        (a, b), (entries, g) = x
        form = entries[jnp.array([[0, 1], [1, 2]])]
        answer, push = jnp.linalg.inv(jnp.eye(2) - form), g / 2 + b
        value = jnp.vdot(form, SPREAD) - push @ answer @ push - jnp.vdot(a, answer @ a) + jnp.sum(a**2) + b @ b
        return value, -value


SPREAD = np.diag([4.0, 0.25])


def _slopes(game, x, y):
    entries, g = jax.tree.map(jnp.subtract, x.discriminator, y.discriminator)
    form = entries[jnp.array([[0, 1], [1, 2]])]
    return 4 * jnp.vdot(form @ SPREAD, form) + g @ g


def test_a_matrix_within_a_spectral_ball():
    # Rotations of the latent points are flat at every price; the threshold is that of one dimension at sigma = 2.
    point = gd.Players((jnp.diag(jnp.array([1.0, 0.5])), jnp.zeros(2)), (jnp.array([0.5, 0.0, 0.0]), jnp.zeros(2)))
    found = say(Plane(), point, norm=_slopes, constraint=gd.games.unit_generator(matrix=True))
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "weak")
    assert float(found.proximal) == pytest.approx(0.5, rel=1e-9)
    assert float(found.proximal_error) < 1e-10
    assert [found.proximal_at(lam) for lam in (0.49, 0.51)] == ["weak", "no"]
    # One direction of A is bound, three are left with b: the rotation among them is flat.
    assert np.sum(np.abs(found.stackelberg.generator.eigenvalues) <= found.stackelberg.generator.error) == 1


def _feature(parameters, x):
    p, g = parameters
    return p * x**2 + 3 * g * x


def test_the_price_depends_on_the_norm(w2):
    # The W2GAN with a discriminator whose slope is 3g: its square in g is a ninth of the Sobolev norm's price.
    game = eqx.tree_at(lambda g: g.discriminator, w2, _feature)
    both = gd.Constraints((gd.Ball(1.0, lambda x: x.generator[0]), gd.Ball(1.0, lambda x: x.generator[1])))
    for norm, price in ((gd.sobolev, 0.5), (gd.euclidean, 4.5)):
        found = say(game, gd.Players((1.0, 0.0), (0.5, 0.0)), norm=norm, constraint=both)
        assert float(found.proximal) == pytest.approx(price, rel=1e-9)
        assert [found.proximal_at(s * price) for s in (0.99, 1.01)] == ["strict", "no"]


# What is refused, and what is found instead


def _first_only(game, x, y):
    return (x.discriminator[0] - y.discriminator[0]) ** 2


def test_a_norm_that_charges_nothing_where_nothing_curves():
    game = gd.games.quadratic(-jnp.eye(2), jnp.eye(2), jnp.diag(jnp.array([1.0, 0.0])))
    found = say(game, gd.Players(jnp.zeros(2), jnp.zeros(2)), norm=_first_only)
    assert found.proximal_result == gd.RESULTS.inner_flat
    assert np.isnan(found.proximal)
    assert "neither the discriminator's payoff nor the norm" in str(found)


@pytest.mark.parametrize(
    ("game", "x", "settings", "outcome"),
    [
        (gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.1, 0.0), {}, "not_stationary"),
        (gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.1, 0.0), {"spectrum": gd.Lanczos()}, "not_stationary"),
        (gd.games.quadratic(1.0, 3.0, 1.0), gd.Players(2.0, 0.0), {"constraint": gd.Box(-1.0, 1.0, _g)}, "infeasible"),
        (gd.Penalised(gd.games.dirac(), gd.gradient_penalty(points=gd.on_real), 1.0), ORIGIN, {}, "switching"),
    ],
)
def test_points_without_a_verdict(game, x, settings, outcome):
    found = say(game, x, throw=False, **settings)
    assert found.result == getattr(gd.RESULTS, outcome)
    assert found.nash.verdict == found.proximal_at(1.0) == "failed"
    assert str(found).startswith("failed")
    with pytest.raises(RuntimeError, match="notions: "):
        say(game, x, **settings)


def test_what_is_no_game_of_two(unchecked):
    with pytest.raises(ValueError, match="FieldNorm is a field without any"):
        say(gd.consensus(gd.games.dirac(), 0.1))
    with pytest.raises(ValueError, match="binds both players"):
        say(gd.games.quadratic(1.0, 0.0, 1.0), gd.Players(0.6, 0.8), constraint=gd.Ball(1.0))
    with pytest.raises(ValueError, match="Lanczos knows no constraints"):
        say(gd.games.quadratic(1.0, 0.0, 1.0), constraint=gd.Box(0.0, 1.0), spectrum=gd.Lanczos())
    with pytest.raises(ValueError, match="count must be"):
        gd.Lanczos(count=50)
