"""Samples of a planar GAN over the data, with the level sets of its discriminator."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.contour import QuadContourSet
from matplotlib.ticker import MaxNLocator

from .. import _tree
from .._system import AbstractSystem, Players
from ..games._gan import AbstractGAN
from ._style import BLACK, BLUE, VERMILION, axes, legend, style

_GRID = 129

# Light enough for dots of either colour on top.
_SHADES = LinearSegmentedColormap.from_list("shades", ["0.74", "0.99"])


class Scene(NamedTuple):
    """What pictures of one GAN share: its data, the grid of the window and the levels of D."""

    real: np.ndarray
    x: np.ndarray
    y: np.ndarray
    levels: np.ndarray
    changes_sign: bool


class View(NamedTuple):
    """What belongs to one point of the GAN: the generated points, and D on the grid."""

    generated: np.ndarray
    heights: np.ndarray


@eqx.filter_jit
def _generate(gan: AbstractGAN, x: Players, latent: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    return jax.vmap(lambda z: gan.generator(x.generator, z))(latent)


@eqx.filter_jit
def _evaluate(gan: AbstractGAN, x: Players, points: Float[Array | np.ndarray, "n 2"]) -> Float[Array, " n"]:
    return jax.vmap(gan.critic(x))(jnp.asarray(points))


def _window(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square around the data and the generated points, of these no farther out than a quarter of the data's width."""
    low, high = real.min(axis=0), real.max(axis=0)
    reach = (np.max(high - low) or 1.0) / 4
    near = generated[np.isfinite(generated).all(axis=1)]
    near = np.concatenate([real, np.clip(near, low - reach, high + reach)])
    low, high = near.min(axis=0), near.max(axis=0)
    half = 0.56 * (np.max(high - low) or 1.0)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _within(levels: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The levels that have a line."""
    return levels[(levels > np.nanmin(heights)) & (levels < np.nanmax(heights))]


def stage(system: AbstractSystem, points: Sequence[Players], key: Key[Array, ""], count: int) -> tuple[Scene, list[View]]:
    """One scene for several points of a GAN, and each point's view of it.

    Raises:
        ValueError: No GAN inside, data that are not planar, or a point that is not finite.
    """
    gan = _tree.inside(system, AbstractGAN)
    if not points or not all(bool(_tree.finite(x)) for x in points):
        raise ValueError(
            "There is nothing to draw: no parameters, or some are not finite. Leave out what follows a divergence."
        )
    data, codes = jax.random.split(key)
    real, latent = np.asarray(gan.real.sample(data, count).points), gan.latent.sample(codes, count).points
    if real.shape[1:] != (2,):
        raise ValueError(
            f"samples draws points of shape (2,); the data have shape {real.shape[1:]}. gd.plot.images draws images."
        )
    generated = [np.asarray(_generate(gan, x, latent)) for x in points]
    low, high = _window(real, np.concatenate(generated))
    a, b = (np.linspace(*ends, _GRID).astype(real.dtype) for ends in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)
    heights = [np.asarray(_evaluate(gan, x, grid)).reshape(_GRID, _GRID) for x in points]
    # Far from all points D is of no interest, and may be large.
    seen = [_evaluate(gan, x, np.concatenate([real, fake])) for x, fake in zip(points, generated, strict=True)]
    levels = MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]).tick_values(*np.nanpercentile(np.stack(seen), (1, 99)))
    changes_sign = any(_within(np.zeros(1), each).size for each in heights)
    return Scene(real, a, b, np.asarray(levels), changes_sign), [View(*pair) for pair in zip(generated, heights, strict=True)]


def paint(ax: Axes, scene: Scene, view: View) -> QuadContourSet:
    """The level sets, the data and the generated points on empty axes; returns what the colour bar describes."""
    x, y, heights = scene.x, scene.y, np.ma.masked_invalid(view.heights)
    filled = ax.contourf(x, y, heights, scene.levels, cmap=_SHADES, extend="both", zorder=0)
    for levels, color, width in ((scene.levels, "0.5", 0.3), (np.zeros(1), BLACK, 1.1)):
        if (levels := _within(levels, view.heights)).size:
            ax.contour(x, y, heights, levels, colors=[color], linewidths=width, linestyles="solid", zorder=1)
    if scene.changes_sign:
        ax.plot([], [], color=BLACK, lw=1.1, label="$D = 0$")
    for points, mark, color, label in (
        (scene.real, "o", BLUE, "data"),
        (view.generated, "^", VERMILION, "generated"),
    ):
        ax.plot(*points.T, mark, color=color, ms=2.2, mew=0, alpha=0.7, zorder=3, label=label)
    outside = np.sum(~np.all((view.generated >= (x[0], y[0])) & (view.generated <= (x[-1], y[-1])), axis=1))
    if outside:
        box = {"fc": "white", "ec": "none", "pad": 1.5}
        ax.text(0.02, 0.02, f"{outside} outside", transform=ax.transAxes, fontsize=8, color=VERMILION, bbox=box, zorder=4)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.locator_params(nbins=5)
    legend(ax, 3)
    return filled


@style()
def samples(system: AbstractSystem, x: Players, key: Key[Array, ""], *, count: int = 512, ax: Axes | None = None) -> Axes:
    """Points of the data and of the generator, over the level sets of the discriminator.

    Lighter is more real; a line marks D = 0. An instance noise is not added to the points. The window holds the data,
    and of the generated points those no farther out than a quarter of its width; how many are left out, a corner says.

    Args:
        system: A GAN on points of the plane, or a game, flow or map with one inside.
        x: The players' parameters.
        key: Of the points that are drawn.
        count: How many of each.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No GAN inside, data of another shape than `(2,)`, or parameters that are not finite.
    """
    scene, (view,) = stage(system, [x], key, count)
    ax = axes(ax, 3.1)
    ax.figure.colorbar(paint(ax, scene, view), ax=ax, label="discriminator $D(x)$", pad=0.02, aspect=30)
    return ax
