"""Floquet multipliers from an orbit in pieces, small ones with the digits that the pieces have and their product has not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Scalar

# The block-cyclic matrix has as many rows at most, and as many groups of pieces: multipliers down to exp(-36 * 8) are above its
# rounding. With more groups the roots of neighbouring sectors come so close that their errors grow.
LARGEST, GROUPS = 256, 8


class Floquet(NamedTuple):
    """Logarithms of the multipliers but the trivial one, largest first, with errors; and how far that one is from one."""

    logs: Complex[Array, " m"]
    errors: Float[Array, " m"]
    trivial: Scalar


def product(matrices: Float[Array, "l n n"]) -> Float[Array, "n n"]:
    """The matrices applied in turn."""
    eye = jnp.eye(matrices.shape[-1], dtype=matrices.dtype)
    return jax.lax.scan(lambda total, m: (m @ total, None), eye, matrices)[0]


def floquet(matrices: Float[Array, "l n n"], divergence: Scalar, velocity: Float[Array, " n"], doubt: Scalar) -> Floquet:
    r"""Multipliers of the cycle whose pieces carry displacements along by these matrices.

    In the plane the one that is not trivial is :math:`\exp\int{\rm tr}\,Dv`, with saltations. In higher dimensions they are
    the p-th powers of the eigenvalues of the block-cyclic matrix of p groups of pieces, which are of like size where the
    multipliers lie many powers of ten apart (as in the periodic Schur form; Lust, 2001); the errors are those of its
    eigenvalues to first order, where the matrices err by `doubt` relative to their norms. The smallest is what the others
    leave of their product, :math:`\exp\int{\rm tr}\,Dv`, where that is known better.
    """
    n = velocity.size
    whole = product(matrices)
    trivial = jnp.linalg.norm(whole @ velocity - velocity) / jnp.linalg.norm(velocity)
    # What a turn's matrices are wrong by: the trivial multiplier shows it too.
    level = jnp.maximum(doubt, trivial)
    if n == 2:
        logs = divergence[None].astype(jnp.result_type(divergence, jnp.complex64))
        return Floquet(logs, (level * (1 + jnp.abs(divergence)))[None], trivial)
    groups = max(1, min(GROUPS, LARGEST // n))
    logs, errors = _lifted(jnp.where(jnp.isfinite(matrices), matrices, 0.0), groups, level)
    along = jnp.argmin(jnp.abs(logs))
    order = jnp.argsort(-logs.real)
    rest = order[jnp.nonzero(order != along, size=n - 1)[0]]
    logs, errors = logs[rest], errors[rest]
    # What the others leave of the product is the smallest to more digits, where those are known better.
    left, beside = divergence - jnp.sum(logs[:-1]), jnp.sum(errors[:-1]) + level * (1 + jnp.abs(divergence))
    logs = logs.at[-1].set(jnp.where(beside < errors[-1], left, logs[-1]))
    logs = logs.real + 1j * (jnp.pi - (jnp.pi - logs.imag) % (2 * jnp.pi))
    return Floquet(logs, errors.at[-1].set(jnp.minimum(errors[-1], beside)), trivial)


def _lifted(matrices: Float[Array, "l n n"], groups: int, level: Scalar) -> tuple[Complex[Array, " n"], Float[Array, " n"]]:
    """Logarithms of a product's eigenvalues and their errors, where each matrix errs by `level` relative to its norm."""
    count, n = matrices.shape[0], matrices.shape[-1]
    eye = jnp.eye(n, dtype=matrices.dtype)
    padding = jnp.broadcast_to(eye, (-count % groups, n, n))
    parts = jax.vmap(product)(jnp.concatenate([matrices, padding]).reshape(groups, -1, n, n))
    norms = jnp.linalg.norm(parts, axis=(1, 2))
    size = jnp.exp(jnp.mean(jnp.log(norms)))
    parts = parts / norms[:, None, None]
    cyclic = jnp.zeros((groups, n, groups, n), matrices.dtype)
    for i in range(groups):
        cyclic = cyclic.at[(i + 1) % groups, :, i, :].set(parts[i])
    roots, vectors = jnp.linalg.eig(cyclic.reshape(groups * n, groups * n))
    conditions = jnp.linalg.norm(jnp.linalg.inv(vectors), axis=1)
    # Each multiplier has one root in every sector of this angle; the sector is turned so that no real one lies on its edge.
    angle = 2 * jnp.pi / groups
    turned = (jnp.angle(roots) + angle / 2 - 0.1 * angle) % (2 * jnp.pi)
    # Roots lost in rounding keep to no sector: they come last, and must not take the place of another.
    sizes = jnp.abs(roots)
    chosen = jnp.argsort(jnp.where(turned < angle, -sizes, sizes))[:n]
    roots, conditions = roots[chosen], conditions[chosen]
    errors = groups * level * conditions / jnp.maximum(jnp.abs(roots), jnp.finfo(matrices.dtype).tiny)
    return groups * jnp.log(size * roots), jnp.where(jnp.isfinite(errors), errors, jnp.inf)
