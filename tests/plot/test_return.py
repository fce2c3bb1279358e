"""Sections and return maps in pictures, against the closed form of the Stuart–Landau oscillator's."""

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

SECTION = gd.Section.through(jnp.zeros(2), jnp.array([0.0, 1.0]))
STABLE = gd.textbook.StuartLandau(0.1, 2.0, 0.0, 0.4)
UNSTABLE = gd.textbook.StuartLandau(-0.1, 2.0, 0.0, -0.4)
CENTRE = gd.textbook.StuartLandau(0.0, 2.0, 0.0, 0.0)
# On the section, and on the way to it.
STARTS = [jnp.array([0.3, 0.0]), jnp.array([0.0, 0.502])]


def returned(flow, r):
    """The radius after a turn, of time pi: that of 1/r^2, which is linear."""
    a, c = float(flow.growth), float(flow.damping)
    return (c / a + (r**-2 - c / a) * np.exp(-2 * a * np.pi)) ** -0.5


def drawn(ax, label):
    return [line.get_xydata() for line in ax.lines if line.get_label() == label]


@pytest.mark.parametrize(("flow", "kind", "fill"), [(STABLE, "stable", "#000000"), (UNSTABLE, "unstable", "white")])
def test_returns_cobweb_and_fixed_point(flow, kind, fill):
    ax = gd.plot.return_map(flow, SECTION, STARTS, count=6)
    (pairs,) = drawn(ax, "returns")
    # The first start counts as a return, the second does not.
    assert len(pairs) == 6 + 5
    assert np.all(np.diff(pairs[:, 0]) > 0)
    # Crossings are as accurate as the integration.
    np.testing.assert_allclose(pairs[:, 1], returned(flow, pairs[:, 0]), rtol=1e-10)
    (web,) = drawn(ax, "cobweb")
    np.testing.assert_array_equal(web[0], [0.3, 0.3])
    corners = web[1::2]
    np.testing.assert_allclose(corners[:, 1], returned(flow, corners[:, 0]), rtol=1e-10)
    np.testing.assert_array_equal(web[2::2, 0], web[2::2, 1])
    ((mark,),) = drawn(ax, f"{kind} cycle")
    np.testing.assert_allclose(mark, [0.5, 0.5], rtol=1e-10)
    assert next(line for line in ax.lines if line.get_label() == f"{kind} cycle").get_markerfacecolor() == fill
    (diagonal,) = drawn(ax, "diagonal")
    np.testing.assert_array_equal(diagonal[:, 0], diagonal[:, 1])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x[0] at a return", "x[0] at the next")
    assert ax.get_xlim() == ax.get_ylim()


def test_on_a_centre_all_returns_lie_on_the_diagonal():
    ax = gd.plot.return_map(CENTRE, SECTION, STARTS, count=6, cobwebs=2)
    (pairs,) = drawn(ax, "returns")
    np.testing.assert_allclose(pairs[:, 0], pairs[:, 1], rtol=1e-10)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["diagonal", "cobweb", "returns"]
    assert len(drawn(ax, "cobweb")) == 2


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("starts", "settings", "message"),
    [
        ([], {}, "got 0 starts"),
        (STARTS, {"count": 0}, "count=0"),
        ([STARTS[0], (1.0, 0.0)], {}, "given the start"),
        (STARTS, {"coordinate": 2}, r"coordinates 0 to 1; got \(2,\)"),
        ([jnp.zeros(2)] * 2, {"count": 6}, "no returns to draw: .*rest"),
    ],
)
def test_bad_input_is_named(starts, settings, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.return_map(STABLE, SECTION, starts, **settings)


def test_a_section_is_its_crossings():
    states = gd.Players(jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(2, 3, 2).at[1, 2].set(jnp.nan))
    ones = jnp.ones((2, 3))
    found = gd.Crossings(ones, states, ones, ones, ones[:, 0], states, gd.RESULTS.successful, {})
    ax = gd.plot.section(found, coordinates=(0, 2), label="orbit")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("generator", "discriminator[1]")
    np.testing.assert_array_equal(drawn(ax, "orbit")[0], [[i, 2 * i + 1] for i in range(5)])
    with pytest.raises(ValueError, match=r"coordinates 0 to 2; got \(0, 3\)"):
        gd.plot.section(found, coordinates=(0, 3))
