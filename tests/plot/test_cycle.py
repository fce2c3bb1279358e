"""Closed orbits in pictures, on the Stuart–Landau oscillator, whose orbits, periods and multipliers are closed forms."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle

import gandyn as gd

SECTION = gd.Section.through(jnp.zeros(2), jnp.array([0.0, 1.0]))
STABLE = gd.textbook.StuartLandau(0.1, 2.0, 0.5)
UNSTABLE = gd.textbook.StuartLandau(-0.1, 2.0, 0.0, -0.4)
CENTRE = gd.textbook.StuartLandau(0.0, 2.0, 0.5, 0.0)
RADII = {"stable": 0.1**0.5, "unstable": 0.5}
FLOWS = {"stable": STABLE, "unstable": UNSTABLE}


@pytest.fixture(scope="module")
def cycles():
    return {name: gd.cycle(flow, jnp.array([1.1 * RADII[name], 0.0]), 3.0, SECTION) for name, flow in FLOWS.items()}


def drawn(ax, label):
    lines = [line for line in ax.lines if line.get_label() == label and len(line.get_xydata())]
    return lines[0] if lines else None


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("name", "dashes", "numbers"), [("stable", "-", "T = 3.22215, 0.525"), ("unstable", "--", "T = 3.14159, 1.87")]
)
def test_the_cycle_lies_over_the_portrait(cycles, name, dashes, numbers):
    ax = gd.plot.cycle(FLOWS[name], cycles[name])
    line = drawn(ax, f"{name} limit cycle")
    np.testing.assert_allclose(np.linalg.norm(line.get_xydata(), axis=1), RADII[name], rtol=1e-9)
    assert line.get_linestyle() == dashes
    assert ax.get_title().replace("$", "").replace(r"\mu = ", "") == numbers
    assert any(isinstance(artist, LineCollection) and len(artist.get_segments()) > 10 for artist in ax.collections)
    # The window is the orbit and three tenths of its width on either side; the width is that between samples.
    np.testing.assert_allclose(ax.get_xlim(), np.array([-1.6, 1.6]) * RADII[name], rtol=1e-2)
    # Arrows turn counterclockwise, as a positive frequency does.
    for arrow in ax.texts:
        tip, tail = (np.array(point) for point in (arrow.xy, arrow.get_position()))
        assert np.cross(np.append(tail, 0), np.append(tip, 0))[2] > 0
    assert len(ax.texts) == 2


def test_a_further_cycle_goes_on_the_same_axes(cycles):
    ax = gd.plot.figure()[1]
    assert gd.plot.cycle(STABLE, cycles["stable"], background=False, ax=ax) is ax
    gd.plot.cycle(UNSTABLE, cycles["unstable"], background=False, ax=ax)
    assert labels(ax) == ["stable limit cycle", "unstable limit cycle"]
    assert len(ax.get_title().splitlines()) == 2
    assert not ax.collections


def test_few_samples_are_filled_in(cycles):
    found = cycles["stable"]
    few = eqx.tree_at(lambda c: (c.ts, c.xs), found, (found.ts[::12], found.xs[::12]))
    points = drawn(gd.plot.cycle(STABLE, few, background=False), "stable limit cycle").get_xydata()
    assert len(points) == 121
    # Between the samples the integration is that of `integrate`, of the default tolerance.
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), RADII["stable"], rtol=1e-7)
    np.testing.assert_allclose(points[::12], few.xs, rtol=0, atol=1e-12)


def test_more_coordinates_are_projected(cycles):
    found = cycles["stable"]
    lifted = eqx.tree_at(lambda c: c.xs, found, jnp.concatenate([found.xs, 3 * found.xs[:, :1]], axis=1))
    ax = gd.plot.cycle(STABLE, lifted, coordinates=(2, 1))
    np.testing.assert_array_equal(drawn(ax, "stable limit cycle").get_xydata(), lifted.xs[:, [2, 1]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x[2]", "x[1]")
    assert not ax.collections
    with pytest.raises(ValueError, match=r"two of 3 coordinates; got \(0, 3\)"):
        gd.plot.cycle(STABLE, lifted, coordinates=(0, 3))


def with_multipliers(found, values, errors):
    exponents = jnp.log(jnp.asarray(values, complex)) / found.period
    return eqx.tree_at(lambda c: (c.exponents, c.errors), found, (exponents, jnp.asarray(errors)))


@pytest.mark.parametrize(
    ("values", "errors", "title"),
    [
        ([0.5 + 0.2j, 0.5 - 0.2j], [1e-9, 1e-9], r"\mu = 0.5 \pm 0.2\,\mathrm{i}"),
        ([-0.3, 2e-14], [1e-9, 5.0], r"\mu = -0.3$, $|\mu| < 1.2\times 10^{-13}"),
    ],
)
def test_multipliers_in_the_title(cycles, values, errors, title):
    found = with_multipliers(cycles["stable"], values, errors)
    assert gd.plot.cycle(STABLE, found, background=False).get_title() == f"$T = 3.22215$, ${title}$"


def test_multipliers_beside_the_unit_circle(cycles):
    found = with_multipliers(cycles["stable"], [-0.3, 2e-14], [1e-9, 5.0])
    ax = gd.plot.multipliers(found, label="one")
    gd.plot.multipliers(cycles["unstable"], label="other", ax=ax)
    circle = next(artist for artist in ax.get_children() if isinstance(artist, Circle))
    assert (circle.center, circle.radius) == ((0, 0), 1)
    assert labels(ax) == ["one", "only noise", "along the orbit", "other"]
    np.testing.assert_allclose(drawn(ax, "one").get_xydata(), [[-0.3, 0]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(drawn(ax, "only noise").get_xydata(), [[0, 0]], atol=1e-13)
    np.testing.assert_allclose(drawn(ax, "other").get_xydata(), [[np.exp(0.2 * np.pi), 0]], rtol=1e-9)
    np.testing.assert_array_equal(drawn(ax, "along the orbit").get_xydata(), [[1, 0]])
    assert drawn(ax, "one").get_marker() != drawn(ax, "other").get_marker()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert left < -1 < np.exp(0.2 * np.pi) < right
    assert bottom < -1 < 1 < top


def test_multipliers_of_a_map():
    class Flip(gd.AbstractMap):
        """Period two between 1 and -1, with the multipliers 1/4 and 4/9."""

        def __call__(self, x):
            return jnp.stack([-jnp.sign(x[0]) * (1 + (jnp.abs(x[0]) - 1) / 2), 2 * x[1] / 3])

    found = gd.periodic(Flip(), jnp.array([1.1, 0.1]), 2)
    ax = gd.plot.multipliers(found)
    np.testing.assert_allclose(np.sort(ax.lines[0].get_xdata()), [1 / 4, 4 / 9], rtol=1e-12)
    assert drawn(ax, "along the orbit") is None


def test_nothing_is_drawn_of_a_search_that_failed(cycles):
    failed = gd.cycle(STABLE, jnp.zeros(2), 3.0, SECTION, throw=False)
    for draw in (lambda: gd.plot.cycle(STABLE, failed), lambda: gd.plot.multipliers(failed)):
        with pytest.raises(ValueError, match=r"draw: .*equilibrium"):
            draw()
    batch = eqx.tree_at(lambda c: (c.period, c.ts), cycles["stable"], (jnp.ones(2), jnp.ones((2, 5))))
    with pytest.raises(ValueError, match=r"One closed orbit.*\(2,\)"):
        gd.plot.cycle(STABLE, batch)


RADIUS = np.linspace(0.2, 1.4, 5)


@pytest.fixture(scope="module")
def families():
    states = jnp.stack([jnp.asarray(RADIUS), jnp.zeros(5)], axis=1)
    flows = {"centre": CENTRE, "circles": gd.textbook.StuartLandau(0.0, 2.0, 0.0, 0.0), "cycle": STABLE}
    return {name: gd.family(flow, states, throw=False) for name, flow in flows.items()}


def test_period_against_amplitude(families):
    ax = gd.plot.family(families["centre"])
    x, y = ax.lines[0].get_xydata().T
    np.testing.assert_array_equal(x, RADIUS)
    np.testing.assert_allclose(y, 2 * np.pi / (2 - 0.5 * RADIUS**2), rtol=1e-10)
    assert (ax.get_xlabel(), labels(ax)) == ("amplitude: x[0] at the start", ["closed"])
    ax = gd.plot.family(families["centre"], centre=jnp.array([1.4, 0.0]), label="a")
    np.testing.assert_allclose(ax.lines[0].get_xdata(), 1.4 - RADIUS[::-1], atol=1e-15)
    assert labels(ax) == ["a"]


def test_a_constant_period_looks_constant(families):
    ax = gd.plot.family(families["circles"], label="circles")
    np.testing.assert_allclose(ax.get_ylim(), np.array([0.95, 1.05]) * np.pi, rtol=1e-9)
    gd.plot.family(families["centre"], label="centre", ax=ax)
    first, second = (line.get_color() for line in ax.lines[::2])
    assert first != second
    assert ax.get_ylim()[1] > families["centre"].periods.max()


def test_orbits_that_do_not_close_are_open(families):
    ax = gd.plot.family(families["cycle"])
    assert labels(ax) == ["does not close"]
    line = drawn(ax, "does not close")
    assert line.get_markerfacecolor() == "white"
    assert np.isnan(ax.lines[0].get_ydata()).all()
    back = np.isfinite(families["cycle"].periods)
    assert 0 < back.sum() < 5
    np.testing.assert_array_equal(line.get_xydata(), np.stack([RADIUS, families["cycle"].periods], axis=1)[back])


def test_an_amplitude_needs_a_centre(families):
    found = families["centre"]
    turned = eqx.tree_at(lambda f: f.states, found, found.states + jnp.arange(5.0)[:, None])
    with pytest.raises(ValueError, match="differ in 2 coordinates: say from which centre"):
        gd.plot.family(turned)
    with pytest.raises(ValueError, match="given the centre"):
        gd.plot.family(found, centre=jnp.zeros(3))
    with pytest.raises(ValueError, match="none of the orbits came back"):
        gd.plot.family(eqx.tree_at(lambda f: f.periods, found, jnp.full(5, jnp.nan)))
