import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

GAME = gd.games.dirac()
ALTERNATING = ("generator", "discriminator")
MAPS = {
    "SimGD": lambda h: gd.SimGD(GAME, h),
    "AltGD": lambda h: gd.AltGD(GAME, h),
    "AltGD 1:5": lambda h: gd.AltGD(GAME, h, steps=(1, 5)),
    "extragradient": lambda h: gd.ExtraGradient(GAME, h),
    "optimistic": lambda h: gd.Optimistic(GAME, h),
    "heavy ball": lambda h: gd.Momentum(GAME, h, 0.3),
    "alternating negative momentum": lambda h: gd.Momentum(GAME, h, -0.3, order=ALTERNATING),
}


def distance_after_unit_time(make, h):
    """Between the orbit of a map and the solution of its modified equation, from a point on the map's slow manifold."""
    step, count = make(h), round(1 / h)
    start = gd.iterate(step, step.init(gd.Players(1.0, 0.6)), count).final
    orbit = gd.iterate(step, start, count).final
    solution = gd.integrate(gd.Modified(step), step.point(start), [0.0, count * h]).final
    return np.linalg.norm(np.array(solution) - np.array(step.point(orbit)))


@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
def test_the_error_falls_as_the_square_of_the_step(make):
    coarse, fine = (distance_after_unit_time(make, h) for h in (0.02, 0.01))
    # The next term of the series moves the observed order by a few hundredths at these steps.
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.06)


def test_simultaneous_steps_drift_outwards_on_the_bilinear_game():
    # Rosca et al. (2021): the real part is h c^2 / 2.
    found = gd.stability(gd.Modified(gd.SimGD(gd.games.bilinear(1.5), 0.1)), gd.Players(0.0, 0.0))
    assert float(found.growth) == pytest.approx(0.1 * 1.5**2 / 2, rel=1e-12)


def test_alternating_steps_do_not_drift_on_the_bilinear_game():
    found = gd.stability(gd.Modified(gd.AltGD(gd.games.bilinear(1.5), 0.1)), gd.Players(0.0, 0.0))
    assert found.verdict == "marginal"


def test_the_closed_form_of_simultaneous_steps():
    step, x = gd.SimGD(GAME, 0.1), gd.Players(jnp.asarray(1.0), jnp.asarray(0.6))
    velocity = np.array(GAME(x))
    expected = velocity - 0.05 * np.asarray(gd.linearize(GAME, x).as_matrix()) @ velocity
    np.testing.assert_allclose(np.array(gd.Modified(step)(x)), expected, rtol=1e-13)
