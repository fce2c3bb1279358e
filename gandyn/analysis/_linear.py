"""Linearisation: the Jacobian as an operator, as a matrix, and in the players' blocks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._system import AbstractSystem

# Up to how many coordinates the matrix is formed at once, and how many columns at a time beyond.
_FEW, _BATCH = 256, 64


def _moving(x: PyTree, args: tuple[AbstractSystem, PyTree]) -> PyTree:
    system, still = args
    return _tree.split(system(_tree.merge(x, still)))[0]


def linearize(system: AbstractSystem, x: PyTree) -> lx.JacobianLinearOperator:
    """The Jacobian of a system at any point, as a lineax operator on the coordinates of the state.

    Args:
        system: A flow (Jacobian of the velocity) or a map (Jacobian of the next state).
        x: A point; it need not be an equilibrium.

    Returns:
        An operator with `mv`, `transpose` and `as_matrix`; rows and columns follow the state's leaves.
    """
    system, x = prepare(system, x)
    moving, still = _tree.split(x)
    return lx.JacobianLinearOperator(_moving, moving, (system, still))


class Dense(eqx.Module):
    """All eigenvalues, from the matrix and LAPACK: the default, up to a few thousand coordinates."""


@eqx.filter_jit
def matrix(system: AbstractSystem, x: PyTree) -> Float[Array, "n n"]:
    """The dense Jacobian outside compiled code."""
    # From the system and not from an operator, which holds a trace of its own: that would compile at every call.
    return jacobian(system, x)


def blocks(system: AbstractSystem, x: PyTree) -> dict[tuple[Any, Any], Float[Array, "m n"]]:
    r"""The Jacobian in blocks: how one player's velocity depends on another player's parameters.

    In the notation of Nagarajan and Kolter, :math:`K_{DD}` is `blocks(...)["discriminator", "discriminator"]` and
    :math:`K_{DG}` is `blocks(...)["discriminator", "generator"]`.

    Args:
        system: A flow or map whose state has players.
        x: A point.

    Returns:
        Matrices by pairs of names, row first.
    """
    system, state = prepare(system, x)
    full = matrix(system, state)
    names = _tree.player_names(state)
    ends = np.cumsum([_tree.size(player) for player in _tree.players(state)])
    spans = dict(zip(names, [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)], strict=True))
    return {(row, column): full[spans[row], spans[column]] for row in names for column in names}


def jacobian(system: AbstractSystem, x: PyTree) -> Float[Array, "n n"]:
    """The dense Jacobian on the coordinates of a state, for use inside compiled code.

    That of many coordinates is formed by batches of products, so that what a network remembers of its data is held for so
    many directions only.
    """
    vector, unravel = _tree.ravel(x)
    n = vector.size

    def flat(v: Array) -> Array:
        return _tree.ravel(system(unravel(v)))[0]

    if n <= _FEW:
        return jax.jacfwd(flat)(vector)
    product = jax.linearize(flat, vector)[1]

    def columns(start: Array) -> Array:
        return jax.vmap(product)(jax.nn.one_hot(start + jnp.arange(_BATCH), n, dtype=vector.dtype))

    return jax.lax.map(columns, jnp.arange(0, n, _BATCH)).reshape(-1, n)[:n].T


def eigenvalues(matrix: Float[Array, "n n"]) -> Array:
    """All eigenvalues: in closed form up to two by two, so that charts need no eigensolver; by LAPACK beyond.

    Derivatives are right for simple eigenvalues and infinite at defective ones.
    """
    n = matrix.shape[0]
    if n > 2:
        return jnp.linalg.eigvals(matrix)
    complex_type = jnp.result_type(matrix.dtype, jnp.complex64)
    if n < 2:
        return matrix.reshape(n).astype(complex_type)
    (a, b), (c, d) = matrix
    root = jnp.sqrt((((a - d) / 2) ** 2 + b * c).astype(complex_type))
    return (a + d) / 2 + jnp.stack([root, -root])


def damped_solve(matrix: Float[Array, "n n"], right: Float[Array, " n"], damping: Scalar) -> Float[Array, " n"]:
    r"""The minimiser of :math:`|Ad - r|^2 + \mu|d|^2`; in closed form up to two by two, which loses nothing by squaring."""
    n = matrix.shape[0]
    if n == 2:
        (a, b), (c, d) = matrix
        determinant = a * d - b * c
        adjugate = jnp.stack([d * right[0] - b * right[1], a * right[1] - c * right[0]])
        return (determinant * adjugate + damping * (right @ matrix)) / (
            determinant**2 + damping * jnp.sum(matrix**2) + damping**2
        )
    if n < 2:
        return right * matrix.reshape(n) / (matrix.reshape(n) ** 2 + damping)
    u, sizes, v = jnp.linalg.svd(matrix)
    return (sizes * (right @ u) / (sizes**2 + damping)) @ v


def smallest_singular_value(matrix: Array) -> Array:
    """The distance of a matrix to the singular ones; in closed form up to two by two."""
    n = matrix.shape[0]
    if n > 2:
        return jnp.linalg.svd(matrix, compute_uv=False)[-1]
    if n < 2:
        return jnp.min(jnp.abs(matrix))
    determinant = jnp.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])
    square = jnp.sum(jnp.abs(matrix) ** 2)
    # The root of a product is taken in two halves, because the fourth power of an entry leaves the range of single precision.
    split = jnp.sqrt(jnp.maximum(square - 2 * determinant, 0.0)) * jnp.sqrt(square + 2 * determinant)
    largest = jnp.sqrt((square + split) / 2)
    return jnp.where(largest > 0, determinant / jnp.where(largest > 0, largest, 1.0), 0.0)


def across(matrix: Array, tangent: Array) -> Array:
    """A matrix on the orthogonal complement of a tangent space."""
    (n, d), eye = tangent.shape, jnp.eye(tangent.shape[0], dtype=matrix.dtype)
    basis = jnp.linalg.qr(jnp.concatenate([tangent, eye], axis=1))[0][:, d:n]
    return basis.T @ matrix @ basis
