"""Samples: the points drawn are those of the laws, the line D = 0 is where the discriminator is zero, and frames agree."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.contour import ContourSet
from PIL import Image

import gandyn as gd

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
CODES = np.array([[0.0, 0.0], [0.25, 0.0], [0.0, 0.25]])
KEY = jax.random.key(0)
COUNT = 96


def shift(phi, z):
    return phi + z


def affine(psi, x):
    return psi[:2] @ x + psi[2]


GAN = gd.GAN(shift, affine, gd.Discrete(RING), gd.Discrete(CODES), gd.objectives.minimax)


def point(phi=(0.5, 0.0), psi=(1.0, 2.0, 0.3)):
    return gd.Players(jnp.asarray(phi), jnp.asarray(psi))


def drawn(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines_at_zero(ax):
    contours = [artist for artist in ax.collections if isinstance(artist, ContourSet)]
    return [contour.get_paths()[0].vertices for contour in contours if list(contour.levels) == [0.0]]


def test_the_points_are_those_of_the_data_and_of_the_generator():
    points = drawn(gd.plot.samples(GAN, point(), KEY, count=COUNT))
    # Of 96 draws each of eight atoms misses with probability (7/8)^96 < 3e-6.
    assert {tuple(p) for p in points["data"]} == {tuple(p) for p in RING}
    assert {tuple(p) for p in points["generated"]} == {tuple(p) for p in CODES + np.array([0.5, 0.0])}
    assert len(points["data"]) == len(points["generated"]) == COUNT


def test_the_line_is_where_the_discriminator_is_zero():
    ax = gd.plot.samples(GAN, point(), KEY, count=COUNT)
    (line,) = lines_at_zero(ax)
    assert len(line) > 100
    # Contours interpolate linearly, which is exact for an affine D up to rounding.
    assert np.max(np.abs(line @ [1.0, 2.0] + 0.3)) < 1e-12
    assert texts(ax) == ["$D = 0$", "data", "generated"]
    assert [other.get_ylabel() for other in ax.figure.axes] == ["$x_2$", "discriminator $D(x)$"]


@pytest.mark.parametrize("psi", [(0.1, 0.2, 9.0), (0.0, 0.0, 0.0), (0.0, 0.0, 5.0)])
def test_without_a_change_of_sign_there_is_no_line(psi):
    ax = gd.plot.samples(GAN, point(psi=psi), KEY, count=COUNT)
    assert not lines_at_zero(ax)
    assert texts(ax) == ["data", "generated"]


def test_what_lies_far_outside_is_counted():
    ax = gd.plot.samples(GAN, point((50.0, 0.0)), KEY, count=COUNT)
    assert [text.get_text() for text in ax.texts] == [f"{COUNT} outside"]
    assert np.diff(ax.get_xlim()) < 6
    assert not gd.plot.samples(GAN, point((2.2, 0.0)), KEY, count=COUNT).texts


def test_a_gan_is_found_inside_games_and_maps():
    step = gd.SimGD(gd.Penalised(GAN, gd.r1, 0.1), 0.1)
    ax = gd.plot.figure()[1]
    assert gd.plot.samples(step, point(), KEY, count=COUNT, ax=ax) is ax
    for label, points in drawn(gd.plot.samples(GAN, point(), KEY, count=COUNT)).items():
        assert np.array_equal(points, drawn(ax)[label])


@pytest.mark.parametrize(
    ("system", "x", "message"),
    [
        (gd.games.dirac(), gd.Players(0.0, 0.0), r"\(2,\); the data have shape \(\).*images"),
        (GAN, point((np.inf, 0.0)), "not finite"),
        (gd.textbook.VanDerPol(1.0), point(), "no gan inside VanDerPol"),
    ],
)
def test_other_systems_are_refused(system, x, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.samples(system, x, KEY)


def test_a_run_becomes_a_moving_picture(tmp_path):
    # Three steps, the last of which leaves the window.
    phis, psis = (
        jnp.asarray([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]]),
        jnp.asarray([[0.0, 0.0, 0.1], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    )
    run = gd.Trajectory(jnp.asarray([0.0, 10.0, 20.0]), gd.Players(phis, psis), gd.RESULTS.successful, {})
    pairs = [(step, gd.Players(phi, psi)) for step, phi, psi in zip((0, 10, 20), phis, psis, strict=True)]
    files = {tmp_path / "run.gif": run, tmp_path / "pairs.gif": pairs}
    for file, frames in files.items():
        gd.plot.save(gd.plot.animation(GAN, frames, KEY, count=COUNT), file)
    one, other = (file.read_bytes() for file in files)
    assert one == other
    # Sixty such frames stay below two megabytes.
    assert len(one) < 3 * 2e6 / 60
    ax = plt.gcf().axes[0]
    assert ax.get_title() == "step 20 of 20"
    assert [text.get_text() for text in ax.texts] == [f"{COUNT} outside"]
    with Image.open(tmp_path / "run.gif") as moving:
        assert moving.n_frames == 3
        assert moving.info["duration"] == 80
        first = np.asarray(moving.convert("RGB"))
        moving.seek(2)
        last = np.asarray(moving.convert("RGB"))
    assert first.shape == last.shape
    # The colour bar, in the rightmost sixth, is that of all frames; each frame has its own palette, which rounds colours.
    right = first.shape[1] * 5 // 6
    assert np.max(np.abs(first[:, right:].astype(int) - last[:, right:])) <= 4
    assert not np.array_equal(first, last)


def test_an_animation_needs_frames():
    with pytest.raises(ValueError, match="no parameters"):
        gd.plot.animation(GAN, [], KEY)
