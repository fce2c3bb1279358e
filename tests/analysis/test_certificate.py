"""Bounds on the growth of all modes, held against dense spectra of random ensembles."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn.analysis._certificate import damped_growth


def damped(rng, n, m, spread):
    r"""P and Q of :math:`[[0, -P^\top], [P, -Q]]`, with sizes over many decades."""
    a = rng.normal(size=(m, m)) * 10 ** rng.uniform(-spread, 1)
    curvature = a @ a.T + 10 ** rng.uniform(-spread, 1) * np.eye(m)
    return rng.normal(size=(m, n)) * 10 ** rng.uniform(-spread, 1), curvature


def matrix(p, q):
    n = p.shape[1]
    return np.block([[np.zeros((n, n)), -p.T], [p, -q]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 4), st.sampled_from([0.5, 3.0]), st.booleans())
def test_the_bound_of_the_pencil_holds(seed, n, more, spread, isotropic):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        p, q = damped(rng, n, n + more, spread)
        q = np.diag(q)[0] * np.eye(n + more) if isotropic else q
        curvatures, coupling = np.linalg.eigvalsh(q), np.linalg.svd(p, compute_uv=False)[-1]
        low, high = curvatures[0], curvatures[-1]
        j = matrix(p, q)
        rounding = 100 * np.finfo(float).eps * np.linalg.norm(j)
        growth = np.linalg.eigvals(j).real.max()
        best = -min(low, high - np.sqrt(max(high**2 - 4 * coupling**2, 0.0))) / 2
        bound = damped_growth((low, high), coupling, 0.0)
        assert growth <= best + rounding
        # Within a small factor of the best bound in these three numbers.
        assert best - rounding <= bound < best / 5
        # A perturbation of any kind, of a part of the size that the bound allows for.
        level = -bound * rng.uniform(0, 0.5)
        change = rng.normal(size=j.shape)
        change *= level / np.linalg.norm(change, 2)
        assert np.linalg.eigvals(j + change).real.max() <= damped_growth((low, high), coupling, level) + rounding


def test_without_damping_or_coupling_there_is_no_bound():
    assert damped_growth((0.0, 1.0), 1.0, 0.0) == np.inf
    assert damped_growth((0.5, 1.0), 0.0, 0.0) == np.inf


@pytest.mark.parametrize(
    ("shape", "least", "verdict"), [((60, 80), 0.1, "stable"), ((60, 80), 0.0, "undecided"), ((80, 60), 0.1, "undecided")]
)
def test_a_generator_without_curvature(shape, least, verdict):
    # Lanczos's method resolves both ends, since it makes as many steps as there are numbers.
    rng = np.random.default_rng(0)
    system = gd.games.quadratic(
        np.zeros((shape[0],) * 2), rng.normal(size=shape) / 9, np.diag(np.linspace(least, 2.0, shape[1]))
    )
    x = gd.Players(jnp.zeros(shape[0]), jnp.zeros(shape[1]))
    found = gd.stability(system, x, spectrum=gd.Arnoldi(4))
    dense = np.linalg.eigvals(np.asarray(gd.linearize(system, x).as_matrix())).real.max()
    assert found.verdict == verdict
    assert found.floor <= dense <= found.bound


def test_players_that_are_not_opposed_have_no_pencil():
    class Aside(gd.AbstractFlow):
        strength: float

        def __call__(self, x):
            # A rotation of a generator that ought to have no curvature: the modes grow, and the discriminator is damped.
            turn = self.strength * jnp.roll(x.generator, 1)
            return gd.Players(turn - x.discriminator, x.generator - 0.1 * x.discriminator)

    x = gd.Players(jnp.zeros(40), jnp.zeros(40))
    assert gd.stability(Aside(0.0), x, spectrum=gd.Arnoldi(2)).verdict == "stable"
    assert gd.stability(Aside(0.01), x, spectrum=gd.Arnoldi(2)).verdict == "undecided"
    assert gd.stability(Aside(0.5), x, spectrum=gd.Arnoldi(2)).verdict == "unstable"
