"""Regions of stability: their boundaries are where the closed forms have a largest multiplier of modulus one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.path import Path

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
FLOW = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.r1, 0.3)
H = 0.8


class Seen(NamedTuple):
    point: gd.Players
    squares: jax.Array


class Watched(gd.AbstractMap):
    """Simultaneous descent beside a slow average of the squared field, which nobody reads."""

    flow: gd.AbstractFlow
    h: jax.Array

    def init(self, point):
        return Seen(point, jnp.zeros(()))

    def point(self, state):
        return state.point

    def __call__(self, x):
        leaves = jax.tree.leaves(self.flow(x.point))
        squares = 0.999 * x.squares + sum(jnp.sum(leaf**2) for leaf in leaves)
        return Seen(gd.SimGD(self.flow, self.h)(x.point), squares)


# Polynomials in the multiplier, by descending powers, for z = h lambda.
MAPS = {
    "simgd": (gd.SimGD(FLOW, H), lambda z: [1, -1 - z]),
    "heun": (gd.RungeKutta(FLOW, H, gd.HEUN), lambda z: [1, -1 - z - z**2 / 2]),
    "rk4": (gd.RungeKutta(FLOW, H), lambda z: [1, -1 - z - z**2 / 2 - z**3 / 6 - z**4 / 24]),
    "extragradient": (gd.ExtraGradient(FLOW, H), lambda z: [1, -1 - z - z**2]),
    "implicit euler": (gd.ProximalPoint(FLOW, H), lambda z: [1 - z, -1]),
    "implicit midpoint": (gd.Implicit(FLOW, H, 0.5), lambda z: [1 - z / 2, -1 - z / 2]),
    "optimistic": (gd.Optimistic(FLOW, H), lambda z: [1, -1 - 2 * z, z]),
    "momentum": (gd.Momentum(FLOW, H, -0.3), lambda z: [1, 0.3 - 1 - z, -0.3]),
    "memory that does not show": (Watched(FLOW, jnp.asarray(H)), lambda z: [1, -1 - z]),
}


def radius(polynomial, value):
    return np.abs(np.roots(polynomial(H * value))).max()


def contours(ax):
    filled, line = (artist for artist in ax.collections if isinstance(artist, QuadContourSet))
    return filled, line


def tinted(filled, value):
    """Whether a point is filled; holes are polygons within polygons."""
    polygons = [Path(polygon) for path in filled.get_paths() for polygon in path.to_polygons()]
    return sum(polygon.contains_point((value.real, value.imag)) for polygon in polygons) % 2 == 1


@pytest.mark.parametrize("name", MAPS)
def test_the_boundary_is_that_of_the_closed_form(name):
    step, polynomial = MAPS[name]
    ax = gd.plot.stability_region(step, ORIGIN)
    filled, line = contours(ax)
    vertices = np.concatenate([path.vertices for path in line.get_paths()])
    assert len(vertices) > 100
    errors = [abs(radius(polynomial, complex(*vertex)) - 1) for vertex in vertices]
    # Interpolation in cells of 0.03: of second order where the modulus is smooth, of first at a change of the leading root.
    assert np.median(errors) < 2e-4
    assert np.max(errors) < 3e-3
    for value in (-0.6 + 0.3j, -0.2 + 1.4j, -1.3 - 1j, -3 + 0.1j, 0.1 + 1j, 1 + 0.2j, 1.5 - 2j):
        assert tinted(filled, value) == (radius(polynomial, value) < 1), value


def test_the_eigenvalues_of_the_flow_are_dots_and_maps_are_named():
    ax = gd.plot.stability_region({"one": MAPS["simgd"][0], "other": MAPS["rk4"][0]}, ORIGIN, box=(-2 - 2j, 1 + 2j))
    (dots,) = [line for line in ax.lines if line.get_label() == "eigenvalues"]
    found = np.sort_complex(dots.get_xdata() + 1j * dots.get_ydata())
    # Mescheder, Geiger and Nowozin (2018): the roots of lambda^2 + gamma lambda + 1.
    np.testing.assert_allclose(found, np.sort_complex(np.roots([1, 0.3, 1])), rtol=1e-14)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "other", "eigenvalues"]
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) == ((-2, 1), (-2, 2), 1)
    assert any(np.array_equal(line.get_xdata(), [0, 0]) for line in ax.lines)


@pytest.mark.parametrize(
    "step",
    [
        gd.AltGD(FLOW, 1e-3),
        gd.AltGD(FLOW, 0.1, order=("discriminator", "generator")),
        gd.SimGD(FLOW, gd.Players(0.1, 0.1001)),
        gd.Competitive(FLOW, 1e-3),
    ],
    ids=["alternating", "ordered", "two step sizes", "competitive"],
)
def test_a_map_that_is_no_function_of_the_spectrum_is_refused(step):
    with pytest.raises(ValueError, match="no function of the flow's eigenvalues"):
        gd.plot.stability_region(step, ORIGIN)


def test_maps_of_one_flow_at_an_equilibrium():
    other = gd.SimGD(gd.games.dirac(), 0.1)
    with pytest.raises(ValueError, match="maps of one flow"):
        gd.plot.stability_region([MAPS["simgd"][0], other], ORIGIN)
    with pytest.raises(RuntimeError, match="not an equilibrium"):
        gd.plot.stability_region(other, gd.Players(1.0, 1.0))
