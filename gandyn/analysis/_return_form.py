"""Normal forms of cycles: those of their return map, whose derivatives come from its Jacobians beside the cycle."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._field import Flat
from .._march import Solver
from .._system import AbstractFlow
from ._local import Local, critical
from ._shooting import Variational, follow

# Newton's steps to the time by which an orbit beside the cycle comes late: one solver's step is as exact as a march then.
_LATE = 5
# What is left of third differences, relative to the terms: below it a coefficient has no sign.
_DIGITS = 1e-4


@eqx.filter_jit
def _jacobians(
    flow: AbstractFlow,
    like: PyTree,
    solver: Solver,
    start: Float[Array, " m"],
    period: Scalar,
    displacements: Float[Array, "d m"],
) -> Float[Array, "d m m"]:
    """Jacobians, at states beside the start of a cycle, of the return to the plane across the flow there after one turn."""
    field = Flat(flow, _tree.ravel(like)[1])
    normal = field(start)

    def one(displacement: Array) -> Array:
        pieces = follow(field, solver, start + displacement, period, 1, start)

        m = start.size
        end = jnp.concatenate([pieces.end, pieces.matrices[0].reshape(-1), jnp.zeros(1, start.dtype)])

        def onto(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            time = carry[0]
            z = solver.retake(Variational(field), end, time)
            return time - normal @ (z[:m] - start) / (normal @ field(z[:m])), z

        z = jax.lax.fori_loop(0, _LATE, onto, (jnp.zeros_like(period), end))[1]
        velocity, moved = field(z[:m]), z[m:-1].reshape(m, m)
        return moved - jnp.outer(velocity, normal @ moved) / (normal @ velocity)

    return jax.lax.map(one, displacements)


def return_form(
    flow: AbstractFlow,
    like: PyTree,
    solver: Solver,
    nodes: Float[Array, "s m"],
    period: Scalar,
    matrices: Float[Array, "s n n"],
    kind: str,
    exact: float,
) -> Local | None:
    r"""What is critical at a bifurcation of a cycle: the multiplier, and the coefficient of the return map's normal form.

    The flow carries its parameter as the last coordinate, in states like `like`; the matrices are those from node to node. The
    amplitude is the root of the mean over the nodes of the square of the displacement across the flow. Kuznetsov (2004),
    equation (5.66), and of a fold :math:`w^\top D^2P(v, v)/2`, with derivatives by central differences of Jacobians; NaN at a
    strong resonance.
    """
    n = matrices.shape[1]
    velocities = np.asarray(_velocities(flow, like, nodes))[:, :n]
    units = velocities / np.linalg.norm(velocities, axis=1)[:, None]
    across = np.eye(n) - units[:, :, None] * units[:, None, :]
    carried = [np.eye(n)]
    for matrix in np.asarray(matrices):
        carried.append(matrix @ carried[-1])
    matrix = across[0] @ carried[-1]
    value, scale = critical(np.linalg.eigvals(matrix), kind, True), exact * (1 + np.linalg.norm(matrix, 2))
    if kind == "Neimark-Sacker" and not (abs(abs(value) - 1) <= scale and abs(value.imag) > scale):
        return None
    if kind == "branch point" or (kind == "Neimark-Sacker" and min(abs(value**3 - 1), abs(value**4 - 1)) <= scale):
        return Local(jnp.asarray(value), jnp.asarray(jnp.nan), "")
    right, left = _null(matrix - value * np.eye(n)), _null((matrix - value * np.eye(n)).conj().T)
    if kind != "Neimark-Sacker":
        right, left = np.real(right) / np.linalg.norm(np.real(right)), np.real(left)
    left = left / np.vdot(left, right).conj()
    size = np.mean([np.linalg.norm(p @ m @ right) ** 2 for p, m in zip(across, carried[:-1], strict=True)])
    displacements, steps = _beside(nodes, right, 10 * solver.rtol)
    beside = _jacobians(flow, like, solver, nodes[0], period, displacements)
    once, twice = _derivatives(np.asarray(beside)[:, :n, :n], *steps)
    if kind == "fold":
        return Local(jnp.asarray(value), jnp.asarray(np.real(left @ once @ right) / (2 * size**0.5)), "")
    offset = np.linalg.solve(abs(value) ** 2 * np.eye(n) - matrix, once @ right.conj())
    harmonic = np.linalg.solve(value**2 * np.eye(n) - matrix, once @ right)
    # The derivative of a real map along the conjugate mode is the conjugate.
    terms = np.stack([twice @ right.conj() / 2, once @ offset, once.conj() @ harmonic / 2])
    unit = (2 if kind == "Neimark-Sacker" else 3) * size
    cubic = float(np.real(np.sum(terms @ left.conj()) / value)) / unit
    noise = _DIGITS * float(np.sum(np.abs(terms) @ np.abs(left))) / unit
    character = "degenerate" if abs(cubic) <= noise else "supercritical" if cubic < 0 else "subcritical"
    return Local(jnp.asarray(value), jnp.asarray(cubic), character)


def _null(matrix: np.ndarray) -> np.ndarray:
    """The unit vector that a matrix all but annihilates."""
    return np.linalg.svd(matrix)[2][-1].conj()


@eqx.filter_jit
def _velocities(flow: AbstractFlow, like: PyTree, states: Float[Array, "s m"]) -> Float[Array, "s m"]:
    return jax.vmap(Flat(flow, _tree.ravel(like)[1]))(states)


def _beside(nodes: Float[Array, "s m"], mode: np.ndarray, error: float) -> tuple[Array, tuple[float, float]]:
    """Displacements from the first node along a mode, and their sizes for second and third derivatives.

    They are such that the errors of a turn and those of the differences balance.
    """
    a, b = np.real(mode), np.imag(mode)
    reach = float(jnp.sqrt(jnp.mean(jnp.sum((nodes - jnp.mean(nodes, axis=0, keepdims=True)) ** 2, axis=1))))
    short, long = reach * error ** (1 / 3), reach * error ** (1 / 4)
    ways = np.stack([short * a, short * b, long * a, long * b, long * (a + b), long * (a - b)])
    displacements = np.zeros((13, mode.size + 1))
    displacements[1:, :-1] = np.concatenate([ways, -ways])
    return jnp.asarray(displacements, nodes.dtype), (short, long)


def _derivatives(matrices: np.ndarray, short: float, long: float) -> tuple[np.ndarray, np.ndarray]:
    """The second derivative of a map along a mode, and the third along it twice, as matrices, from Jacobians `_beside`."""
    once = (matrices[1:3] - matrices[7:9]) / (2 * short)
    aa, bb, plus, minus = (matrices[3:7] + matrices[9:13] - 2 * matrices[0]) / long**2
    return once[0] + 1j * once[1], aa - bb + 0.5j * (plus - minus)
