"""Spectra and their paths: the points are the eigenvalues, the boundaries those of flows and of maps."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle

import gandyn as gd
from gandyn.plot._spectrum import _linked

ORIGIN = gd.Players(0.0, 0.0)
FLOW = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
STEP = gd.SimGD(FLOW, 0.5)


def at_origin(system):
    return gd.stability(system, ORIGIN, throw=False)


def points(line):
    return np.sort_complex(line.get_xdata() + 1j * line.get_ydata())


def circles(ax):
    return [artist for artist in ax.get_children() if isinstance(artist, Circle)]


def test_a_flow_has_the_imaginary_axis_and_the_disc_of_a_step():
    found = at_origin(FLOW)
    ax = gd.plot.spectrum(found, step=0.5)
    (disc,) = circles(ax)
    assert np.allclose(points(ax.lines[0]), np.sort_complex(found.eigenvalues), atol=1e-15)
    assert (disc.center, disc.radius) == ((-2, 0), 2)
    assert any(np.array_equal(line.get_xdata(), [0, 0]) for line in ax.lines)
    assert ax.get_aspect() == 1


def test_a_map_has_the_unit_circle():
    found = at_origin(STEP)
    ax = gd.plot.spectrum(found)
    (circle,) = circles(ax)
    assert (circle.center, circle.radius) == ((0, 0), 1)
    assert r"\mu" in ax.get_xlabel()
    assert np.allclose(points(ax.lines[0]), np.sort_complex(found.eigenvalues), atol=1e-15)


def test_further_spectra_take_further_markers_and_labels():
    ax = gd.plot.spectrum(at_origin(FLOW), label="one")
    assert gd.plot.spectrum(at_origin(gd.games.dirac()), label="two", ax=ax) is ax
    drawn = {line.get_label(): line for line in ax.lines}
    assert drawn["one"].get_marker() != drawn["two"].get_marker()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_the_whole_spectrum_is_in_the_window():
    ax = gd.plot.spectrum(at_origin(FLOW), step=1e-3)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for z in (*np.asarray(at_origin(FLOW).eigenvalues), 0):
        assert left < z.real < right
        assert bottom < z.imag < top
    # The disc of so small a step has a radius of 1000.
    assert right - left < 10


@pytest.mark.parametrize(
    ("system", "state", "step", "message"),
    [
        (STEP, ORIGIN, 0.1, "those of a map"),
        (FLOW, ORIGIN, 0.0, "positive and finite; got 0"),
        (FLOW, gd.Players(1.0, 1.0), None, "no finite eigenvalues.*not an equilibrium"),
    ],
)
def test_a_picture_of_nothing_is_refused(system, state, step, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.spectrum(gd.stability(system, state, throw=False), step=step)


def test_paths_are_coloured_by_the_parameter_and_go_through_the_eigenvalues():
    gammas = np.linspace(0.0, 0.9, 7)
    ax = gd.plot.paths(gd.sweep(at_origin, FLOW, {"gamma": (lambda s: s.weight, gammas)}))
    lines = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    for segment, gamma in zip(lines.get_segments(), lines.get_array(), strict=True):
        ends = segment[:, 0] + 1j * segment[:, 1]
        for end, weight in zip(ends, (gamma - 0.075, gamma + 0.075), strict=True):
            # Mescheder, Geiger and Nowozin (2018): the roots of lambda^2 + gamma lambda + 1/4.
            assert abs(end**2 + weight * end + 0.25) < 1e-14
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"gamma = 0", "gamma = 0.9"}
    assert len(ax.texts) == 4
    assert [other.get_ylabel() for other in ax.figure.axes] == [r"$\mathrm{Im}\,\lambda$", "gamma"]


def test_a_family_of_paths_follows_the_named_axis():
    axes = {"gamma": (lambda s: s.flow.weight, [0.1, 0.5]), "h": (lambda s: s.h, np.geomspace(0.01, 1.0, 5))}
    sweep = gd.sweep(at_origin, STEP, axes)
    ax = gd.plot.paths(sweep, "h")
    lines = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    assert len(lines.get_segments()) == 2 * 2 * 4
    assert len(circles(ax)) == 1
    with pytest.raises(ValueError, match=r"one of \['gamma', 'h'\]"):
        gd.plot.paths(sweep)


def test_paths_cross_without_changing_partners_and_jump_over_failures():
    t = np.linspace(-1.0, 1.0, 12)
    truth = np.stack([t + 0j, -t + 0j, t + 2j], axis=1)
    shuffled = np.stack([np.random.default_rng(i).permutation(row) for i, row in enumerate(truth)])
    shuffled[5] = np.nan
    linked = _linked(shuffled, t)
    known = np.delete(np.arange(12), 5)
    assert {tuple(column) for column in linked[known].T} == {tuple(column) for column in truth[known].T}


def test_paths_need_stabilities():
    with pytest.raises(ValueError, match=r"whose values hold one Stability; they are .*gd\.stability"):
        gd.plot.paths(gd.Sweep({"a": jnp.arange(3.0)}, jnp.arange(3.0)))
