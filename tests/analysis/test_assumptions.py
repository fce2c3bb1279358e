"""Assumptions of theorems on games of which it is known which hold, by the numbers that decide."""

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import pytest

import gandyn as gd

NK, NP, MGN = "Nagarajan and Kolter (2017)", "Nie and Patel (2019)", "Mescheder, Geiger and Nowozin (2018)"
# Gauss's rule of three nodes: the moments of the uniform law on [-1, 1] up to the fifth, exactly.
INTERVAL = gd.Discrete(np.sqrt(0.6) * np.array([-1.0, 0.0, 1.0]), np.array([5, 8, 5]) / 18)
MINIMAX = gd.objectives.minimax


def scale(a, z):
    return a * z


def product(ab, z):
    return jnp.prod(jnp.stack(ab)) * z


def linear(w, x):
    return w * x


def square(w, x):
    return w * x**2


def twice(w, x):
    return (w[0] + w[1]) * x**2


def squared_weight(w, x):
    return w**2 * x


def affine(ab, z):
    return ab[0] * z + ab[1]


def quadratic(w, x):
    return w[0] * x + w[1] * x**2


def lift(ab, z):
    return jnp.stack([ab[0] * z, ab[1]])


def height(w, x):
    return w[0] * x[0] ** 2 + w[1] * x[1]


def shift(b, z):
    return b + z


def normal(a, u):
    return a * jax.scipy.special.ndtri(u)


class Features(eqx.Module):
    """A discriminator linear in its weights."""

    slopes: jnp.ndarray
    offsets: jnp.ndarray

    def __call__(self, w, x):
        return jnp.vdot(w, jnp.tanh(self.slopes * x + self.offsets))


def on_interval(generator, discriminator):
    return gd.GAN(generator, discriminator, INTERVAL, INTERVAL, MINIMAX)


def features():
    rng = np.random.default_rng(0)
    discriminator = Features(jnp.asarray(rng.normal(size=4)), jnp.asarray(rng.normal(size=4)))
    return gd.GAN(affine, discriminator, gd.Gaussian(0.5, 1.0), gd.Gaussian(0.0, 1.0), gd.objectives.nonsaturating)


SEGMENT = gd.Product((INTERVAL, gd.Discrete([0.0])))
# A game, an equilibrium, what becomes of the three theorems, and of single assumptions.
CASES = {
    "affine": (on_interval(affine, quadratic), ((1.0, 0.0), (0.0, 0.0)), "holds holds holds", {"nk2": "holds", "nk3": "holds"}),
    "dirac": (
        gd.games.dirac(),
        (0.0, 0.0),
        "fails holds holds",
        {"nk1_laws": "holds", "nk1_zero": "holds", "nk2": "fails", "nk2_relaxed": "fails", "nk3": "holds", "np_q": "fails"},
    ),
    "segment": (
        gd.GAN(lift, height, SEGMENT, INTERVAL, MINIMAX),
        ((1.0, 0.0), (0.0, 0.0)),
        "fails holds holds",
        {"nk2": "fails", "nk2_relaxed": "fails", "nk3": "holds", "nk_form": "holds", "nk_bound": "does not apply"},
    ),
    "redundant": (
        on_interval(product, twice),
        ((2.0, 0.5, 1.0), (0.3, -0.3)),
        "holds holds holds",
        {"nk2": "fails", "nk2_relaxed": "holds", "nk3": "fails", "nk3_relaxed": "holds", "nk_bound": "holds", "np_p": "fails"},
    ),
    "of higher order": (
        gd.GAN(shift, squared_weight, gd.Discrete([0.0]), gd.Discrete([0.0]), MINIMAX),
        (0.0, 0.0),
        "fails holds fails",
        {"nk2_relaxed": "fails", "mgn3_discriminator": "fails", "mgn1_zero": "holds"},
    ),
    "random features": (
        features(),
        ((1.0, 0.5), jnp.zeros(4)),
        "holds holds holds",
        {"nk2": "holds", "nk3": "holds", "nk_form": "holds", "nk_bound": "holds"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_applies_is_known(name):
    game, (g, d), verdicts, rows = CASES[name]
    found = gd.assumptions(game, gd.Players(g, d))
    assert found.verdicts == dict(zip((NK, NP, MGN), verdicts.split(" "), strict=True)), str(found)
    assert {key: found[key].verdict for key in rows} == rows, str(found)
    for row in found.rows:
        assert row.verdict not in ("holds", "fails") or np.isfinite(row.error)


def test_the_numbers_are_those_of_the_closed_forms():
    """K_DD = -diag(1/6, 1/10), K_DG has the singular values 1/2 and 1/3: the moments of the uniform law."""
    game, (g, d), _, _ = CASES["affine"]
    found = gd.assumptions(game, gd.Players(g, d))
    close = {"rtol": 1e-12}
    np.testing.assert_allclose([found["nk2"].value, found["nk2"].numbers["smallest"]], [-1 / 10, -1 / 6], **close)
    np.testing.assert_allclose([found["nk3"].value, found["nk3"].numbers["largest"]], [2 / 9, 1 / 2], **close)
    np.testing.assert_allclose([found["np_p"].value, found["np_p"].numbers["cond P"]], [1 / 3, 3 / 2], **close)
    np.testing.assert_allclose(found["np_q"].numbers["cond Q"], 5 / 3, **close)
    np.testing.assert_allclose([found["np2_curvature"].value, found["np2_slope"].numbers["g1'(0)"]], [-1 / 2, 1 / 2], **close)
    # h has the Hessian 2 diag(E x^2 + 1, E x^4 + 4 E x^2); g moves by E z = 0, 1; 2 E z^2, 0.
    np.testing.assert_allclose([found["mgn3_discriminator"].value, found["mgn3_generator"].value], [8 / 3, 2 / 3], **close)
    bounds = [found["nk_bound"].numbers[name] for name in ("abscissa", "for pairs", "for real ones")]
    np.testing.assert_allclose(bounds, [-1 / 20, -1 / 20, -(1 / 10) / 9 / (1 / 60 + 1 / 9)], **close)


def test_manifolds_have_their_dimensions():
    """The lemma asks for full column rank, which a generator with more parameters than the discriminator never has."""
    game, (g, d), _, _ = CASES["redundant"]
    found = gd.assumptions(game, gd.Players(g, d))
    assert [float(number) for number in found["mgn3_discriminator"].numbers.values()] == [1, 1]
    assert [float(number) for number in found["mgn3_generator"].numbers.values()] == [2, 2]
    assert (found.dimension, found.stability.neutral) == (3, 3)
    assert found["np_p"].reason == "zero eigenvalues: 2 at least"


def test_a_discriminator_that_sees_no_scale():
    """D(x) = wx: every a is an equilibrium at w = 0, but the data's law is produced at a = 1 only."""
    game = on_interval(scale, linear)
    found = gd.assumptions(game, gd.Players(1.0, 0.0))
    rows = {"nk1_laws": "holds", "nk3": "fails", "nk3_relaxed": "holds", "np_p": "fails", "mgn3_generator": "fails"}
    assert {key: found[key].verdict for key in rows} == rows, str(found)
    found = gd.assumptions(game, gd.Players(1.3, 0.0))
    assert found["nk1_laws"].verdict == "fails"
    assert found["nk1_laws"].value > 0.01
    assert found["mgn3_generator"].verdict == "does not apply"
    assert set(found.verdicts.values()) == {"fails"}


def test_laws_that_quadrature_cannot_tell_apart_are_undecided():
    """A normal law by its quantile function is one for no finite rule on (0, 1)."""
    game = gd.GAN(normal, linear, gd.Gaussian(0.0, 1.0), gd.Uniform(0.0, 1.0), MINIMAX)
    found = gd.assumptions(game, gd.Players(1.0, 0.0))
    assert found["nk1_laws"].verdict == "undecided"
    assert 1e-6 < found["nk1_laws"].value <= found["nk1_laws"].error
    assert found.verdicts[NP] == "undecided"


def test_penalties_are_left_out_and_that_is_said():
    game = gd.Penalised(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), gd.weight_decay, 0.1)
    found = gd.assumptions(game, gd.Players(0.0, 0.0))
    assert found.penalised
    assert str(found).startswith("of the game without its penalties")
    assert found["nk2"].verdict == "fails"  # R1 gives the discriminator a curvature; the theorem on the game has none.
    assert float(found.stability.growth) == 0


def test_the_way_to_the_equilibrium_is_part_of_the_error():
    """A search ends beside the equilibrium: there the laws differ a little, and the discriminator is not quite zero."""
    near = gd.assumptions(gd.games.dirac(), gd.Players(1e-10, 1e-10))
    assert near.verdicts == gd.assumptions(gd.games.dirac(), gd.Players(0.0, 0.0)).verdicts
    assert 1e-11 < near["nk1_laws"].value < near["nk1_laws"].error < 1e-8


def test_no_equilibrium_has_no_verdict():
    game, x = gd.Penalised(gd.games.dirac(), gd.r1, 0.3), gd.Players(0.1, 0.0)
    with pytest.raises(RuntimeError, match=r"without its penalties: The point is not an equilibrium"):
        gd.assumptions(game, x)
    found = gd.assumptions(game, x, throw=False)
    assert found.result == gd.RESULTS.not_stationary
    assert {row.verdict for row in found.rows} == {"undecided"}
    assert "the point is no equilibrium" in str(found)


def matrices(seed, n_d=3, n_g=2):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_d, n_d))
    return root @ root.T + 0.01 * np.eye(n_d), rng.normal(size=(n_d, n_g))


def of_blocks(q, p, a=0.0):
    """The assumptions on the game with the Jacobian [[-Q, P], [-P^T, -A]]."""
    game = gd.games.quadratic(jnp.broadcast_to(a, (p.shape[1],) * 2) * jnp.eye(p.shape[1]), p.T, q)
    return gd.assumptions(game, gd.Players(jnp.zeros(p.shape[1]), jnp.zeros(p.shape[0])))


@pytest.mark.parametrize("seed", range(8))
def test_a_game_without_laws_has_its_blocks_and_the_bound(seed):
    q, p = matrices(seed)
    found = of_blocks(q, p)
    for key in ("nk1_laws", "np1_zero", "np2_slope", "mgn3_generator"):
        assert (found[key].verdict, found[key].reason) == ("does not apply", "the game is no GAN")
    assert set(found.verdicts.values()) == {"does not apply"}
    low, high = np.linalg.eigvalsh(q)[[0, -1]]
    coupling = np.linalg.eigvalsh(p.T @ p)[0]
    bound = max(-low / 2, -low * coupling / (high * low + coupling))
    np.testing.assert_allclose(found["nk_bound"].value, bound, rtol=1e-11)  # An eigenvalue of p^T p loses digits by squaring.
    assert found["nk_bound"].verdict == "holds"
    assert found["nk_bound"].numbers["abscissa"] <= bound


def test_curvatures_of_the_wrong_sign_and_other_forms_fail():
    q, p = matrices(0)
    convex = of_blocks(-q, p)
    assert (convex["nk2"].verdict, convex["nk2_relaxed"].verdict) == ("fails", "fails")
    assert "wrong sign" in convex["nk2_relaxed"].reason
    assert set(convex.verdicts.values()) == {"does not apply"}  # No GAN, whatever becomes of its blocks.
    curved = of_blocks(q, p, a=-0.1)
    assert (curved["nk2"].verdict, curved["nk_form"].verdict, curved["nk_bound"].verdict) == (
        "holds",
        "fails",
        "does not apply",
    )
    np.testing.assert_allclose(curved["nk_form"].value, 0.1 * np.sqrt(2), rtol=1e-12)


class Three(gd.AbstractGame):
    def losses(self, x):
        return x[0] ** 2, x[1] ** 2, x[2] ** 2


def test_who_has_no_generator_and_no_game_is_told(unchecked):
    found = gd.assumptions(Three(), (0.0, 0.0, 0.0))
    assert {row.verdict for row in found.rows} == {"does not apply"}
    with pytest.raises(ValueError, match="the theorems are on games; got FieldNorm"):
        gd.assumptions(gd.consensus(gd.games.dirac(), 0.1), gd.Players(0.0, 0.0))


def test_the_table_has_a_line_for_each_assumption():
    game, (g, d), _, _ = CASES["dirac"]
    found = gd.assumptions(game, gd.Players(g, d))
    lines = str(found).splitlines()
    assert len(lines) == len(found.rows) + 3
    assert lines[0] == f"{NK}: fails"
    line = next(line for line in lines if line.startswith("  nk2 "))
    assert line.endswith("fails")
    assert "rank 0, of 1" in line
    with pytest.raises(KeyError, match="nk2_relaxed"):
        found["nk4"]
