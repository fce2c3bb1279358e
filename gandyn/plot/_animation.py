"""A training run as a moving picture."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Key
from matplotlib.animation import FuncAnimation

from .._evolve import Trajectory
from .._system import AbstractSystem, Players
from ._samples import paint, stage
from ._style import figure, style

_PER_SECOND = 12


def animation(
    system: AbstractSystem, frames: Trajectory | Sequence[tuple[int, Players]], key: Key[Array, ""], *, count: int = 512
) -> FuncAnimation:
    """The samples of a run as they move over the data, with the level sets of the discriminator; see `gd.plot.samples`.

    All frames share the points of the data, the latent points, the window and the levels, so that what moves is the
    generator and what changes its shade is the discriminator. `gd.plot.save(animation, "run.gif")` writes it.

    Args:
        system: A GAN on points of the plane, or a game, flow or map with one inside.
        frames: The step and the players' parameters, one pair for each frame, twelve a second; or the orbit of a training
            map, from `gd.iterate(step, state, steps, every=every, observe=step.point)`.
        key: Of the points that are drawn.
        count: How many of each.

    Returns:
        Matplotlib's animation.

    Raises:
        ValueError: No frames, no GAN, data of another shape than `(2,)`, or parameters that are not finite.
    """
    if isinstance(frames, Trajectory):
        frames = [(int(t), jax.tree.map(lambda leaf, i=i: leaf[i], frames.xs)) for i, t in enumerate(frames.ts)]
    steps = [step for step, _ in frames]
    scene, views = stage(system, [x for _, x in frames], key, count)
    whole, ax = figure(height=3.2)

    @style()
    def draw(i: int) -> list:
        ax.clear()
        filled = paint(ax, scene, views[i])
        ax.set_title(f"step {steps[i]} of {steps[-1]}")
        if len(whole.axes) == 1:
            whole.colorbar(filled, ax=ax, label="discriminator $D(x)$", pad=0.02, aspect=30)
            # One layout for all frames: they do not jump, and are drawn faster.
            whole.draw_without_rendering()
            whole.set_layout_engine("none")
        return list(ax.get_children())

    return FuncAnimation(whole, draw, frames=len(steps), interval=1000 / _PER_SECOND)
