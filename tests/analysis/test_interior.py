"""Eigenvalues in the interior of a spectrum, beside those of the matrix."""

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.analysis import _interior

N = 20
X = gd.Players(jnp.zeros(N), jnp.zeros(N))


@pytest.fixture(params=[_interior._FITS, 1], ids=["factorised", "iterated"])
def fits(request, monkeypatch):
    """Both ways, at a size at which both are quick."""
    monkeypatch.setattr(_interior, "_FITS", request.param)


@pytest.fixture(scope="module")
def game():
    """Curvatures of both signs and of either player, with modes on both sides of the axis."""
    rng = np.random.default_rng(1)
    first, second = np.diag(np.linspace(-0.5, 1.0, N)), np.diag(np.linspace(0.2, 2.0, N))
    return gd.games.quadratic(first, rng.normal(size=(N, N)) / np.sqrt(N), second)


def dense(system):
    return np.linalg.eigvals(np.asarray(gd.linearize(system, X).as_matrix()))


@pytest.mark.parametrize("point", [0.0, -0.7, 0.3 + 1j])
def test_the_nearest_to_a_point(game, fits, point):
    found = gd.eigenpairs(game, X, spectrum=gd.Arnoldi(5, gd.Nearest(point), basis=20))
    nearest = np.sort(np.abs(dense(game) - point))[:5]
    # A conjugate pair is equally far from a real point. Inner systems are solved to 1e-10.
    np.testing.assert_allclose(np.sort(np.abs(found.values - point)), nearest, rtol=1e-8)
    assert np.all(found.residuals < 1e-8)
    gaps = np.min(np.abs(found.values[:, None] - dense(game)[None]), axis=1)
    assert np.all(gaps <= found.errors)


def test_the_nearest_to_the_border(game, fits):
    found = gd.eigenpairs(game, X, spectrum=gd.Arnoldi(3, gd.Critical(), basis=16))
    np.testing.assert_allclose(np.abs(found.values.real), np.sort(np.abs(dense(game).real))[:3], atol=1e-8)


def test_the_nearest_to_the_unit_circle(game):
    step = gd.SimGD(game, 0.3)
    found, border = gd.eigenpairs(step, X, spectrum=gd.Arnoldi(3, gd.Critical())), np.sort(np.abs(np.abs(dense(step)) - 1))
    np.testing.assert_allclose(np.abs(np.abs(found.values) - 1), border[:3], atol=1e-12)


def test_a_border_that_is_not_covered(game, monkeypatch):
    monkeypatch.setattr(_interior, "_FITS", 1)
    spectrum = gd.Arnoldi(2, gd.Critical(shifts=1))
    with pytest.raises(RuntimeError, match="before it had covered it"):
        gd.eigenpairs(game, X, spectrum=spectrum)
    # What is returned are eigenvalues, though not all of those nearest.
    found = gd.eigenpairs(game, X, spectrum=spectrum, throw=False)
    assert found.result == gd.RESULTS.border_not_covered
    assert np.min(np.abs(found.values[0] - dense(game))) < 1e-8


def test_an_eigenvalue_at_the_point_itself(fits):
    # Three zero modes, on which the inverse is infinite: found, or not found.
    system = gd.games.quadratic(np.diag(np.r_[np.zeros(3), np.ones(N - 3)]), np.zeros((N, N)), np.diag(np.linspace(1, 2, N)))
    found = gd.eigenpairs(system, X, spectrum=gd.Arnoldi(2, gd.Nearest(0.0)), throw=False)
    if _interior._FITS > 1:
        np.testing.assert_allclose(found.values, 0.0, atol=1e-12)
    else:
        assert found.result == gd.RESULTS.few_eigenvalues
        assert np.all(np.isnan(found.residuals))
