"""Regions of stability of training algorithms in the plane of the flow's eigenvalues."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree
from matplotlib.axes import Axes

from .. import _tree
from .._system import AbstractFlow, AbstractMap
from ..analysis._compare import by_name
from ..analysis._linear import jacobian
from ..analysis._memory import idle, point_rows, without
from ..analysis._predict import visible
from ..analysis._stability import stability
from ._spectrum import complex_plane
from ._style import BLACK, PALETTE, axes, legend, style

_DASHES = ("-", "--", "-.", ":")
_CELLS = 250


class _Linear(AbstractFlow):
    matrix: Float[Array, "n n"]

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """The product."""
        return self.matrix @ x


def _is_flow(node: object) -> bool:
    return isinstance(node, AbstractFlow)


def _on(step: AbstractMap, matrix: Array) -> tuple[AbstractMap, PyTree]:
    """The map on a linear flow in place of its own, and its fixed point."""
    flow = _Linear(matrix)
    step = jax.tree.map(lambda node: flow if _is_flow(node) else node, step, is_leaf=_is_flow)
    return step, step.init(jnp.zeros(matrix.shape[:1], matrix.dtype))


def _linear_part(step: AbstractMap, x: PyTree) -> Float[Array, "k k"]:
    x = step.settle(x)
    matrix = jacobian(step, x)
    return without(matrix, idle(step, x, matrix, None))


@eqx.filter_jit
def _on_plane(
    step: AbstractMap, real: Float[Array, " m"], imag: Float[Array, " n"]
) -> tuple[Float[Array, "n m k k"], Float[Array, "2 k"]]:
    """The Jacobians of the map on linear flows with the eigenvalues `real +- i imag`, and that of its point."""

    def on(a: Array, b: Array) -> tuple[AbstractMap, PyTree]:
        return _on(step, jnp.stack([jnp.stack([a, -b]), jnp.stack([b, a])]))

    rows = point_rows(*on(real[0], imag[0]))
    return jax.vmap(lambda b: jax.vmap(lambda a: _linear_part(*on(a, b)))(real))(imag), rows


@eqx.filter_jit
def _both(step: AbstractMap, flow: AbstractFlow, x: PyTree) -> tuple[Array, Array]:
    """The Jacobian of the map, and what it is where the flow is linear and its state one vector without players."""
    return _linear_part(step, step.init(x)), _linear_part(*_on(step, jacobian(flow, x)))


def _is_function(step: AbstractMap, flow: AbstractFlow, x: PyTree) -> bool:
    """Whether a map's multipliers are a function of the flow's eigenvalues, by the traces of powers.

    Eigenvalues that are defective lose half of their digits, traces lose none.
    """
    try:
        matrices = np.stack(_both(step, flow, x))
    except (ValueError, AttributeError):
        return False
    traces = np.array([np.trace(np.linalg.matrix_power(matrix, k)) for matrix in matrices for k in (1, 2, 3)]).reshape(2, 3)
    scale = matrices.shape[-1] * (1 + np.linalg.norm(matrices[0], 2)) ** np.arange(1, 4)
    return bool(np.all(np.abs(traces[0] - traces[1]) <= 100 * np.finfo(scale.dtype).eps * scale))


def _radius(step: AbstractMap, real: np.ndarray, imag: np.ndarray) -> np.ndarray:
    """The largest modulus of the multipliers, at most 2, which stands for what is not finite too."""
    inner, image = step.spectrum_of()
    if isinstance(inner, AbstractFlow):
        multipliers = np.asarray(image(jnp.asarray(real + 1j * imag[:, None])))[..., None]
    else:
        matrices, rows = map(np.asarray, _on_plane(step, jnp.asarray(real), jnp.asarray(imag)))
        basis = visible([matrices[0, 0], matrices[-1, -1]], rows, float(np.finfo(rows.dtype).eps))
        multipliers = np.linalg.eigvals(basis.T @ matrices @ basis)
    radius = np.abs(multipliers).max(axis=-1)
    return np.where(radius <= 2.0, radius, 2.0)


def _flow(steps: Mapping[str, AbstractMap]) -> AbstractFlow:
    """The one flow of all the maps."""
    flows = [node for step in steps.values() for node in jax.tree.leaves(step, is_leaf=_is_flow) if _is_flow(node)]
    if not flows or not all(eqx.tree_equal(flow, flows[0]) for flow in flows):
        raise ValueError("stability_region takes maps of one flow; these hold none, or several.")
    return flows[0]


def _window(steps: Mapping[str, AbstractMap], values: np.ndarray) -> tuple[complex, complex]:
    """The corners of a window with the regions in it, unless they are much larger than the spectrum."""
    times = [float(step.time()) for step in steps.values() if np.isfinite(float(step.time()))]
    reach, size = 3.3 / max(times, default=1.0), float(np.abs(values).max())
    half = max(min(reach, 4.2 * size), 1.3 * size) or reach
    return complex(-half, -half), complex(0.75 * half, half)


@style()
def stability_region(
    maps: AbstractMap | Mapping[str, AbstractMap] | Sequence[AbstractMap],
    x: PyTree,
    *,
    box: tuple[complex, complex] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Where an eigenvalue :math:`\lambda` of the flow may lie for training to be stable, with the game's own on top.

    The boundary is that of :math:`|R(h\lambda)| < 1` with the stability function R, or of a method with memory of
    :math:`\max_j |\mu_j(h\lambda)| < 1`, at the map's own step size; the stable side is tinted. A map that does not name its R
    is applied to a linear flow with the eigenvalue :math:`\lambda`.

    Args:
        maps: A map, or several of one flow, by name or in a sequence.
        x: An equilibrium of the flow, whose eigenvalues are drawn as dots.
        box: The lower left and the upper right corner of the window, such as `(-3-3j, 2+3j)`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: Maps of different flows, or one whose multipliers are no function of the flow's eigenvalues: where players
            alternate, or have step sizes of their own.
        RuntimeError: The point is no equilibrium.
    """
    steps = by_name([maps] if isinstance(maps, AbstractMap) else maps)
    flow, x = _flow(steps), _tree.state_arrays(x)
    values = np.asarray(stability(flow, x).eigenvalues)
    for name, step in steps.items():
        if not isinstance(step.spectrum_of()[0], AbstractFlow) and not _is_function(step, flow, x):
            raise ValueError(
                f"stability_region: the multipliers of {name!r} are no function of the flow's eigenvalues, as with players "
                "that alternate or have step sizes of their own. Draw gd.plot.spectrum of the map."
            )
    ax = axes(ax, 3.2)
    low, high = _window(steps, values) if box is None else box
    real, imag = np.linspace(low.real, high.real, _CELLS + 1), np.linspace(low.imag, high.imag, _CELLS + 1)
    for i, (name, step) in enumerate(steps.items()):
        radius = _radius(step, real, imag)
        color, dashes = PALETTE[i % len(PALETTE)], _DASHES[i % len(_DASHES)]
        ax.contourf(real, imag, radius, levels=[0.0, 1.0], colors=[color], alpha=0.1, zorder=0.5)
        ax.contour(real, imag, radius, levels=[1.0], colors=[color], linestyles=[dashes], linewidths=1.2, zorder=2)
        ax.plot([], [], color=color, ls=dashes, label=name)
    ax.plot(np.real(values), np.imag(values), "o", color=BLACK, mec="white", mew=0.6, ms=5, zorder=4, label="eigenvalues")
    complex_plane(ax, False)
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlim=(low.real, high.real), ylim=(low.imag, high.imag))
    legend(ax)
    return ax
