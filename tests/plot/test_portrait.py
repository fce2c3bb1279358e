"""Phase portraits: what is drawn lies where the flow says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.contour import QuadContourSet

import gandyn as gd

BOX = (jnp.array([-2.0, -1.0]), jnp.array([2.0, 3.0]))
SADDLE = np.diag([1.0, -1.0])


class Bent(gd.AbstractFlow):
    r"""A linear flow and a parabola, :math:`\dot x = Ax + b (0, x_0^2)`: one structure for every type of equilibrium."""

    matrix: jax.Array
    bend: jax.Array

    def __call__(self, x):
        return self.matrix @ x + self.bend * jnp.stack([jnp.zeros_like(x[0]), x[0] ** 2])


def bent(matrix, bend=0.0):
    return Bent(jnp.asarray(matrix), jnp.asarray(bend))


def named(ax, label):
    lines = [line for line in ax.lines if line.get_label() == label]
    return [np.array(line.get_xydata()) for line in lines if len(line.get_xydata())]


def labels(ax):
    return {text.get_text() for text in ax.get_legend().get_texts()}


@pytest.mark.parametrize(
    ("matrix", "kind", "marker", "filled"),
    [
        ([[-1.0, 0.0], [0.0, -2.0]], "stable node", "o", True),
        ([[-1.0, -1.0], [1.0, -1.0]], "stable focus", "o", True),
        ([[1.0, -1.0], [1.0, 1.0]], "unstable focus", "o", False),
        ([[0.0, 1.0], [-1.0, 0.0]], "centre", None, True),
        ([[0.0, 0.0], [0.0, -1.0]], "equilibrium, not isolated", ".", True),
    ],
)
def test_equilibria_are_marked_by_type(matrix, kind, marker, filled):
    ax = gd.plot.portrait(bent(matrix), BOX)
    drawn = [line for line in ax.lines if line.get_label() == kind]
    assert kind in labels(ax)
    assert all(np.abs(bent(matrix)(jnp.asarray(point))).max() < 1e-9 for line in drawn for point in line.get_xydata())
    assert marker is None or drawn[0].get_marker() == marker
    assert (drawn[0].get_markerfacecolor() != "white") == filled


def test_manifolds_of_a_saddle_are_its_invariant_curves():
    ax = gd.plot.portrait(bent(SADDLE, 1.0), BOX)
    unstable, stable = (np.concatenate(named(ax, f"{kind} manifold")) for kind in ("unstable", "stable"))
    assert [line.get_marker() for line in ax.lines if line.get_label() == "saddle"] == ["x"]
    inside = unstable[np.abs(unstable[:, 0]) < 2]
    # From 4e-3 along the tangent, the parabola y = x^2 / 3 is 5e-6 away, and the flow brings it nearer.
    assert np.abs(inside[:, 1] - inside[:, 0] ** 2 / 3).max() < 6e-6
    assert np.ptp(inside[:, 0]) > 3.8
    assert np.nanmax(np.abs(stable[:, 0])) < 1e-9
    assert np.nanmin(stable[:, 1]) < -1
    assert np.nanmax(stable[:, 1]) > 3


def test_basins_have_the_separatrices_only():
    flow, labels_of_cells = bent(SADDLE, 1.0), jnp.zeros((4, 4), int)
    found = gd.Basins(
        labels_of_cells, BOX, jnp.zeros((1, 2)), ("one",), jnp.ones(3), jnp.ones((3, 2)), jnp.ones(()), gd.RESULTS.successful
    )
    ax = gd.plot.basins(found, flow=flow)
    stable = np.concatenate(named(ax, "stable manifold"))
    assert np.nanmax(np.abs(stable[:, 0])) < 1e-9
    assert np.nanmin(stable[:, 1]) < -1
    assert np.nanmax(stable[:, 1]) > 3
    assert not named(ax, "unstable manifold")
    assert len(named(ax, "saddle")) == 1


def test_nullclines_are_where_a_coordinate_rests():
    flow = bent(SADDLE, 1.0)
    ax = gd.plot.portrait(flow, BOX, equilibria=False)
    contours = [artist for artist in ax.collections if isinstance(artist, QuadContourSet)]
    assert {"x[0] nullcline", "x[1] nullcline"} == labels(ax)
    for i, contour in enumerate(contours):
        points = np.concatenate([path.vertices for path in contour.get_paths()])
        # The parabola between points of the grid that are 1/32 apart: its chord is (1/32)^2 / 4 off.
        assert np.abs(jax.vmap(flow)(jnp.asarray(points))[:, i]).max() < 2.5e-4
        assert np.ptp(points) > 3


def test_a_map_is_drawn_beside_its_flow_for_as_long():
    flow, start = bent([[0.0, 1.0], [-1.0, 0.0]]), jnp.array([1.0, 0.0])
    ax = gd.plot.portrait(flow, BOX, starts=[start], step=gd.SimGD(flow, 0.1), horizon=4.0, equilibria=False)
    (path,), (dots,) = named(ax, "flow"), named(ax, "SimGD")
    assert np.allclose(np.linalg.norm(path, axis=1), 1.0, atol=1e-9)
    assert np.allclose(path[-1], [np.cos(4), -np.sin(4)], atol=1e-9)
    assert np.allclose(np.linalg.norm(dots, axis=1), 1.01 ** (np.arange(41) / 2), rtol=1e-12)
    assert np.allclose(named(ax, "start")[0], start)


def test_many_applications_are_thinned():
    flow = bent([[0.0, 1.0], [-1.0, 0.0]])
    start = jnp.array([1.0, 0.0])
    ax = gd.plot.portrait(flow, BOX, starts=[start], step=gd.SimGD(flow, 1e-3), horizon=4.0, equilibria=False)
    (dots,) = named(ax, "SimGD")
    assert len(dots) == 1001
    assert np.allclose(dots[-1], [np.cos(4), -np.sin(4)], atol=3e-3)


class Half(gd.AbstractFlow):
    """A flow that has no value beyond one half."""

    def __call__(self, x):
        return {"a": jnp.where(x["a"] < 0.5, 1.0, jnp.nan), "b": jnp.zeros_like(x["b"])}


def test_where_the_solver_stops_is_shown():
    def at(a, b):
        return {"a": a, "b": b}

    ax = gd.plot.portrait(Half(), (at(-1.0, -1.0), at(1.0, 1.0)), starts=[at(0.0, 0.0)], horizon=2.0, equilibria=False)
    (end,) = named(ax, "solver stopped")
    assert 0 < end[0, 0] <= 0.5
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-1, 1))


def test_it_draws_on_given_axes():
    ax = gd.plot.figure()[1]
    assert gd.plot.portrait(bent(SADDLE), BOX, equilibria=False, ax=ax) is ax


def test_more_coordinates_are_refused_with_what_to_do():
    state = gd.Players(jnp.zeros(2), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"two coordinates.*has 4.*gd\.plot\.spectrum.*gd\.plot\.paths"):
        gd.plot.portrait(gd.games.linear(), (state, state))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("flow", "box", "settings", "message"),
    [
        (gd.SimGD(bent(SADDLE), 0.1), BOX, {}, "draws a flow; got SimGD"),
        (bent(SADDLE), BOX, {"step": bent(SADDLE)}, "step must be a map.*got Bent"),
        (bent(SADDLE), BOX[::-1], {}, "box is empty"),
        (bent(SADDLE), (BOX[0], tuple(BOX[1])), {}, "upper corner"),
        (bent(SADDLE), BOX, {"starts": [(0.0, 1.0)]}, "given the start"),
    ],
)
def test_bad_input_is_named(flow, box, settings, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.portrait(flow, box, **settings)


def test_streamlines_end_at_a_line_of_rest():
    ax = gd.plot.portrait(bent([[0.0, 0.0], [0.0, -1.0]]), BOX, equilibria=False)
    stream = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    heights = [segment[:, 1] for segment in stream.get_segments()]
    assert len(heights) > 10
    assert all((line > 0).all() or (line < 0).all() for line in heights)
