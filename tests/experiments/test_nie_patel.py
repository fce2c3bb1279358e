"""The isotropic Gaussian of Nie and Patel: what is measured of a run, and what is predicted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gandyn as gd
from gandyn.experiments._experiment import Run
from gandyn.experiments._nie_patel import ISOTROPIC, Displacement, eigenvalues, predicted
from gandyn.training import Curve


def started(arm):
    return ISOTROPIC.arms[arm](ISOTROPIC.small, 0, jnp.float64)


def test_eigenvalues_are_read_off_a_run():
    start, lapse = started("plain"), 100 * 1e-3
    matrix = np.array([[-0.2, -0.9], [0.4, -0.1]])
    points = [np.array([0.05, 0.05])]
    for _ in range(30):
        points.append(scipy.linalg.expm(lapse * matrix) @ points[-1])
    curve = Curve(100 * jnp.arange(31), jnp.asarray(points))
    run = Run(start, gd.training.Training(None, jnp.asarray(3000), {"across": curve}, gd.RESULTS.successful))
    found = eigenvalues(run, "across")
    # Rounding of 1e-16 over the norms of the points, a hundredth, and over the lapse.
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.linalg.eigvals(matrix)), atol=1e-11)


# The slowest modes are those of CLAIMS NP01 to NP03, by their closed forms.
@pytest.mark.parametrize(("arm", "slowest"), [("consensus", -0.210892932706), ("jare", -1.04907693917)])
def test_the_prediction_decays_at_the_known_rate(arm, slowest):
    run = Run(started(arm), gd.training.Training(None, jnp.asarray(0), {}, gd.RESULTS.successful))
    first, early, late = predicted(run, np.array([0.0, 20.0, 30.0]))
    assert first == pytest.approx(0.1, rel=1e-12)
    # The mode beside it has died to exp(-2 * 20 * 0.96) of it at least, since its orthogonal part enters by its square.
    assert np.log(late / early) / 10 == pytest.approx(slowest, rel=1e-8)


@pytest.mark.parametrize("arm", ISOTROPIC.arms)
def test_first_steps(arm):
    start = started(arm)
    first = start.step.init(start.point)
    last = gd.iterate(start.step, first, 3, every=3).final
    assert jax.tree.map(jnp.shape, start.step.point(last)) == gd.Players((2,), (2,))
    seen = Displacement(jnp.array([0.0, 2.0]))
    before, after = (seen(start.step, state, jax.random.key(0)) for state in (first, last))
    np.testing.assert_allclose([*before["across"], *before["along"]], 0.05, rtol=1e-12)
    assert before["distance"] == pytest.approx(0.1)
    assert 0 < abs(float(after["distance"] - before["distance"])) < 0.05
