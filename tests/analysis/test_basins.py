"""Basins of attraction whose boundaries are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import gandyn as gd

TRACES = []


class Wells(gd.AbstractFlow):
    """A damped ball in two wells, x'' = x - x^3 - c x'."""

    c: Array

    def __call__(self, x):
        TRACES.append(1)
        return jnp.stack([x[1], x[0] - x[0] ** 3 - self.c * x[1]])


class Subcritical(gd.AbstractFlow):
    """r' = -r + r^3 and a turn: the unit disc comes to rest, the rest runs away."""

    def __call__(self, x):
        rate = jnp.sum(x**2) - 1
        return jnp.stack([rate * x[0] - x[1], rate * x[1] + x[0]])


class Logistic(gd.AbstractMap):
    r: float

    def __call__(self, x):
        return self.r * x * (1 - x)


BOX = (jnp.array([-2.0, -2.0]), jnp.array([2.0, 2.0]))
ENDS = [jnp.array([1.0, 0.0]), jnp.array([-1.0, 0.0])]


@pytest.fixture(scope="module")
def wells():
    return gd.basins(Wells(jnp.asarray(0.2)), BOX, (24, 24), ENDS)


def test_two_wells(wells):
    labels = np.asarray(wells.labels)
    assert labels.shape == (24, 24)
    assert set(labels.reshape(-1)) == {0, 1}
    # The flow is odd: what starts at -x ends in the other well.
    np.testing.assert_array_equal(labels[::-1, ::-1], 1 - labels)
    np.testing.assert_allclose(wells.fractions, [0.5, 0.5, 0.0, 0.0])
    # Half of the distance between the wells is 1.
    assert float(wells.tolerance) == pytest.approx(0.5, abs=1e-6)


def test_labels_agree_with_single_orbits(wells):
    values = np.linspace(-2, 2, 24)
    for i, j in [(0, 0), (3, 17), (11, 12), (20, 5), (23, 14)]:
        found = gd.attractor(Wells(jnp.asarray(0.2)), jnp.array([values[i], values[j]]))
        assert found.kind == "equilibrium"
        np.testing.assert_allclose(found.state, ENDS[int(wells.labels[i, j])], atol=1e-5)


def test_another_value_or_start_compiles_nothing(wells):
    gd.attractor(Wells(jnp.asarray(0.2)), jnp.array([0.3, 0.4]))
    TRACES.clear()
    assert gd.attractor(Wells(jnp.asarray(0.25)), jnp.array([-0.3, 0.9])).kind == "equilibrium"
    gd.basins(Wells(jnp.asarray(0.25)), (BOX[0] - 1, BOX[1]), (24, 24), ENDS)
    assert not TRACES


def test_attractors_are_found(wells):
    found = gd.basins(Wells(jnp.asarray(0.2)), BOX, (24, 24), searches=6)
    assert found.kinds == ("equilibrium", "equilibrium")
    np.testing.assert_allclose(np.abs(found.attractors), [[1, 0], [1, 0]], atol=1e-5)
    same = np.asarray(found.attractors)[:, 0].argmax() == 0
    np.testing.assert_array_equal(found.labels, wells.labels if same else 1 - np.asarray(wells.labels))
    assert "equilibrium at" in str(found)


def test_a_share_that_is_known():
    low, high = jnp.array([-1.2, -1.2]), jnp.array([1.2, 1.2])
    found = gd.basins(Subcritical(), (low, high), 1000, [jnp.zeros(2)])
    share, (below, above) = float(found.fractions[0]), np.asarray(found.intervals[0])
    # The area of the unit disc over that of the box, within the interval of the sample; Wilson's by hand.
    assert below < np.pi / 2.4**2 < above
    z, n = 1.959963984540054, 1000
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert above - below == pytest.approx(2 * half, rel=1e-9)
    # Only starts that hardly leave the boundary within the span could stay undecided.
    assert float(found.fractions[-1]) == 0
    assert float(found.fractions[1]) == pytest.approx(1 - share)


def test_basins_of_a_map():
    found = gd.basins(Logistic(3.2), (-0.5, 1.5), (200,), [jnp.asarray(0.5130445)])
    starts = np.linspace(-0.5, 1.5, 200)
    # (0, 1) but for the countable preimages of the fixed points goes to the orbit of period two, the rest to minus infinity.
    np.testing.assert_array_equal(np.asarray(found.labels) == 0, (starts > 0) & (starts < 1))
    np.testing.assert_array_equal(np.asarray(found.labels) == -1, (starts < 0) | (starts > 1))


def test_too_short_a_span_is_undecided():
    found = gd.basins(Subcritical(), (-jnp.ones(2), jnp.ones(2)), (3, 3), [jnp.zeros(2)], span=1e-3)
    assert float(found.fractions[-1]) == pytest.approx(8 / 9)


def test_what_has_no_basins():
    flow = Wells(jnp.asarray(0.2))
    with pytest.raises(ValueError, match="one count for each of 2"):
        gd.basins(flow, BOX, (3, 3, 3), ENDS)
    with pytest.raises(ValueError, match="must not lie above"):
        gd.basins(flow, BOX[::-1], (3, 3), ENDS)
    with pytest.raises(ValueError, match="coincide"):
        gd.basins(flow, BOX, (3, 3), [ENDS[0], ENDS[0]])
    with pytest.raises(ValueError, match="span must be positive"):
        gd.basins(flow, BOX, (3, 3), ENDS, span=0.0)
