"""Stability maps: the colours are the growths, the line is the boundary, and what is not known is not coloured."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.contour import QuadContourSet

import gandyn as gd

GAMMA, STEP = np.linspace(0.05, 0.9, 18), np.linspace(0.1, 4.0, 40)


def at_origin(system):
    return gd.stability(system, gd.Players(0.0, 0.0), throw=False)


def given(growth, bound, failed):
    """A sweep with these growths, bounds and failures."""
    exponents = (growth + 0j)[..., None]
    result = eqx.filter_vmap(eqx.filter_vmap(lambda no: gd.RESULTS.where(no, gd.RESULTS.nonfinite, gd.RESULTS.successful)))
    found = gd.Stability(exponents, exponents, bound, jnp.ones_like(growth), result(failed))
    n, m = growth.shape
    return gd.Sweep({"first": jnp.arange(float(n)), "second": jnp.arange(float(m))}, found)


def only(ax, kind):
    return [artist for artist in ax.collections if isinstance(artist, kind)]


def test_the_line_is_the_closed_form_and_the_colours_are_centred():
    system = gd.SimGD(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), 0.1)
    sweep = gd.sweep(at_origin, system, {"gamma": (lambda s: s.flow.weight, GAMMA), "h": (lambda s: s.h, STEP)})
    ax = gd.plot.chart(sweep, curves={"closed form": (GAMMA, 4 * GAMMA)})
    (mesh,), (line,) = only(ax, QuadMesh), only(ax, QuadContourSet)
    points = np.concatenate([path.vertices for path in line.get_paths()])
    # Below gamma = 1 the eigenvalues are complex with modulus 1/2, so that |1 + h lambda| = 1 at h = 4 gamma; linear
    # interpolation between steps 0.1 apart is off by less than a hundredth.
    assert np.abs(points[:, 1] - 4 * points[:, 0]).max() < 0.01
    limit = mesh.get_clim()[1]
    assert mesh.get_clim()[0] == -limit
    assert np.allclose(mesh.get_array(), np.clip(np.asarray(sweep.values.growth).T, -limit, limit))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("gamma", "h")
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"growth = 0", "closed form"}
    assert ax.figure.axes[1].get_ylabel() == "growth per application"


def test_cells_without_a_verdict_are_grey_and_undecided_ones_hatched():
    growth = jnp.full((4, 3), -1.0)
    failed, unsure = jnp.zeros((4, 3), bool), jnp.zeros((4, 3), bool)
    failed, unsure = failed.at[1, 2].set(True), unsure.at[2:, 0].set(True)
    growth = jnp.where(failed, jnp.nan, growth)
    ax = gd.plot.chart(given(growth, jnp.where(unsure, 1.0, growth), failed))
    blocks = {block.get_label(): block for block in only(ax, PolyCollection)}
    assert set(blocks) == {"undecided", "no verdict"}
    assert blocks["undecided"].get_hatch()
    (run,) = blocks["undecided"].get_paths()
    assert np.array_equal([run.vertices.min(0), run.vertices.max(0)], [[1.5, -0.5], [3.5, 0.5]])
    (cell,) = blocks["no verdict"].get_paths()
    assert np.array_equal([cell.vertices.min(0), cell.vertices.max(0)], [[0.5, 1.5], [1.5, 2.5]])
    assert not only(ax, QuadContourSet)


@pytest.mark.parametrize("value", [0.0, -np.inf, np.nan])
def test_a_map_of_one_colour_is_drawn(value):
    growth = jnp.full((3, 3), value)
    ax = gd.plot.chart(given(growth, growth, jnp.isnan(growth)))
    assert only(ax, QuadMesh)[0].get_clim() == (-1, 1)


def test_geometric_axes_are_logarithmic_and_order_does_not_matter():
    sweep = given(jnp.arange(-6.0, 6.0).reshape(4, 3), jnp.arange(-6.0, 6.0).reshape(4, 3), jnp.zeros((4, 3), bool))
    turned = gd.Sweep({"first": jnp.geomspace(100.0, 0.1, 4), "second": sweep.axes["second"]}, sweep.values)
    ax = gd.plot.chart(turned)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    shown = np.asarray(only(ax, QuadMesh)[0].get_array())
    assert (np.diff(shown, axis=1) <= 0).all()
    assert (np.diff(shown, axis=1) < 0).any()


def test_another_number_of_axes_is_refused():
    with pytest.raises(ValueError, match=r"two axes; this one has \['gamma'\].*gd\.plot\.paths"):
        gd.plot.chart(gd.sweep(at_origin, gd.games.dirac(), {"gamma": (lambda s: s.real.atoms, [0.0])}))
