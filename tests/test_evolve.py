"""Orbits of maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn import _tree

STEP = gd.AltGD(gd.games.dirac(), 0.3)
X = gd.Players(1.0, -0.5)


def norm_of(x):
    return _tree.norm(x)


@pytest.fixture(scope="module")
def orbit():
    return gd.iterate(STEP, X, 12)


def test_an_orbit_is_a_loop(orbit):
    x = _tree.state_arrays(X)
    for i in range(13):
        np.testing.assert_allclose([orbit.xs.generator[i], orbit.xs.discriminator[i]], jnp.stack(x), rtol=1e-13)
        x = STEP(x)
    np.testing.assert_array_equal(orbit.ts, np.arange(13.0))
    assert bool(orbit.result == gd.RESULTS.successful)
    assert int(orbit.stats["steps"]) == 12


def test_an_orbit_begins_and_ends(orbit):
    assert jax.tree.map(lambda leaf: float(leaf[0]), orbit.xs) == X
    assert orbit.final == jax.tree.map(lambda leaf: leaf[-1], orbit.xs)
    assert str(orbit).startswith("Trajectory of 13 states from t = 0 to 12; |x| ends at ")


def test_every_so_often(orbit):
    rare = gd.iterate(STEP, X, 12, every=4)
    np.testing.assert_array_equal(rare.ts, [0.0, 4.0, 8.0, 12.0])
    np.testing.assert_array_equal(rare.xs.generator, orbit.xs.generator[::4])
    np.testing.assert_array_equal(gd.iterate(STEP, X, 12, every=12).ts, [0.0, 12.0])


def test_what_is_observed(orbit):
    seen = gd.iterate(STEP, X, 12, every=3, observe=norm_of)
    np.testing.assert_allclose(seen.xs, np.hypot(orbit.xs.generator, orbit.xs.discriminator)[::3], rtol=1e-14)


def test_orbits_inside_compiled_code():
    ends = jax.jit(jax.vmap(lambda h: gd.iterate(gd.SimGD(gd.games.bilinear(), h), X, 5).final.generator))
    values = jnp.array([0.1, 0.2])
    for h, end in zip(values, ends(values), strict=True):
        np.testing.assert_allclose(end, gd.iterate(gd.SimGD(gd.games.bilinear(), h), X, 5).final.generator, rtol=1e-14)


def test_a_slope_through_an_orbit():
    # Simultaneous steps on the bilinear game turn and stretch by 1 + i h each: r^2 grows by (1 + h^2) per step.
    slope = jax.grad(lambda h: norm_of(gd.iterate(gd.SimGD(gd.games.bilinear(), h), X, 6).final) ** 2)(0.3)
    np.testing.assert_allclose(slope, 1.25 * 6 * 1.09**5 * 2 * 0.3, rtol=1e-13)


class Square(gd.AbstractMap):
    def __call__(self, x):
        return x**2


def test_an_orbit_that_leaves_the_numbers_has_failed():
    lost = gd.iterate(Square(), 10.0, 12, throw=False)
    assert bool(lost.result == gd.RESULTS.nonfinite)
    with pytest.raises(RuntimeError, match="iterate: A non-finite value"):
        gd.iterate(Square(), 10.0, 12)


def test_an_orbit_that_fails_unseen_has_failed():
    # Only the first component is watched, and the second one explodes.
    lost = gd.iterate(Square(), jnp.array([0.5, 10.0]), 12, observe=first_of, throw=False)
    assert np.all(np.isfinite(lost.xs))
    assert bool(lost.result == gd.RESULTS.nonfinite)


def first_of(x):
    return x[0]


@pytest.mark.parametrize(("steps", "every"), [(0, 1), (-3, 1), (10, 0), (10, 3), (10, 20)])
def test_steps_that_do_not_fit(steps, every):
    with pytest.raises(ValueError, match=f"steps={steps} must be a positive multiple of every={every}"):
        gd.iterate(STEP, X, steps, every=every)


@pytest.mark.usefixtures("unchecked")
def test_a_flow_is_not_iterated():
    with pytest.raises(ValueError, match=r"iterate takes a map; GAN is none. Build one, such as gd.SimGD"):
        gd.iterate(gd.games.dirac(), X, 5)


@pytest.mark.parametrize("bad", [gd.Players(jnp.nan, 0.0), gd.Players(0.0, -jnp.inf)])
def test_a_state_that_is_not_finite(bad):
    for verb in (gd.equilibrium, gd.stability, lambda s, x: gd.iterate(s, x, 2)):
        with pytest.raises(ValueError, match="The state has a non-finite entry"):
            verb(STEP, bad)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("bad", [gd.Players(0.0, jnp.zeros(2)), (0.0, 0.0), 0.0, gd.Players(0.0, (0.0, 0.0))])
def test_a_state_of_the_wrong_structure(bad):
    with pytest.raises(ValueError, match=r"SimGD|Players") as caught:
        gd.iterate(gd.SimGD(gd.games.dirac(), 0.1), bad, 2)
    assert _tree.describe(_tree.state_arrays(bad)) in str(caught.value)


class Grow(gd.AbstractMap):
    """A map that changes the structure of its state."""

    def __call__(self, x):
        return (x, x)


def test_a_wrong_image_names_both_states():
    with pytest.raises(ValueError, match=r"Grow was given the state f64\[2\], but a state \(f64\[2\], f64\[2\]\) is expected"):
        gd.iterate(Grow(), jnp.ones(2), 2)


@pytest.mark.parametrize("bad", [True, "x", None.__class__, jnp.sin])
def test_a_state_that_holds_no_numbers(bad):
    with pytest.raises(ValueError, match="A state holds numbers and arrays"):
        gd.iterate(STEP, gd.Players(1.0, bad), 2)


@pytest.mark.usefixtures("unchecked")
def test_no_system_at_all():
    with pytest.raises(ValueError, match="A flow, a map or a game is expected first; got str"):
        gd.stability("dirac", X)
