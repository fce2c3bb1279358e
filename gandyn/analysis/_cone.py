"""Constraints at a point: what binds a player there, how strongly, and quadratic forms on the cone of what is left."""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Array, PyTree

from .. import _tree
from .._constraint import AbstractConstraint, check_constraint
from .._system import AbstractGame

_MOST_FACES = 8


class Bound(NamedTuple):
    """What binds one player: margins with a multiplier, and those at the boundary without one.

    `along` and `across` are bases of the tangent space and the normals' pseudo-inverse, both None where nothing binds; the
    player may move where `cone @ d >= 0`. `sure` is false where multipliers are not unique or are neither zero nor not.
    """

    active: tuple[int, ...]
    along: np.ndarray | None
    across: np.ndarray | None
    cone: np.ndarray
    sure: bool


class Stationarity(NamedTuple):
    """The distance from the Karush–Kuhn–Tucker conditions, whether the point is feasible, and what binds each player."""

    residual: float
    feasible: bool
    bounds: tuple[Bound, Bound]


@eqx.filter_jit
def _gradients(game: AbstractGame, x: PyTree, constraint: AbstractConstraint | None) -> tuple[list[Array], Array, list[Array]]:
    players = _tree.players(x)
    vectors = [_tree.ravel(player)[0] for player in players]
    ends = np.cumsum([v.size for v in vectors])[:-1]

    def state(whole: Array) -> PyTree:
        parts = zip(players, jnp.split(whole, ends), strict=True)
        return _tree.with_players(x, [_tree.ravel(player)[1](v) for player, v in parts])

    whole = jnp.concatenate(vectors)
    slopes = [-_tree.ravel(player)[0] for player in _tree.players(game(x))]
    if constraint is None:
        return slopes, jnp.zeros((0,)), [jnp.zeros((0, v.size)) for v in vectors]
    margins = constraint.margins(x)
    rows = jax.jacfwd(lambda v: constraint.margins(state(v)))(whole)
    return slopes, margins, jnp.split(rows, ends, axis=1)


def stationarity(game: AbstractGame, x: PyTree, constraint: AbstractConstraint | None) -> Stationarity:
    """The Karush–Kuhn–Tucker conditions of each player at a point.

    Raises:
        ValueError: What is no constraint, or one that binds both players at once.
    """
    if constraint is not None:
        check_constraint(constraint, "notions")
    slopes, margins, rows = _gradients(game, x, constraint)
    slopes, rows, margins = [np.asarray(s) for s in slopes], [np.asarray(r) for r in rows], np.asarray(margins)
    near = _tree.eps(x) ** 0.5 * (1 + float(_tree.norm(x)))
    active = np.flatnonzero(margins <= near)
    sizes = [np.linalg.norm(r[active], axis=1) for r in rows]
    if (both := active[np.minimum(*sizes) > near * np.maximum(*sizes)]).size:
        raise ValueError(
            f"notions: the constraint binds both players at once (margins {both.tolist()}), so that what one may do depends on "
            "the other. Give each a constraint of its own, with `where=lambda x: x.generator`."
        )
    parts, bounds = [], []
    for slope, row, size in zip(slopes, rows, sizes, strict=True):
        own = active[size > 0]
        bound, residual = _bound(slope, row[own], own, near)
        parts.append(residual)
        bounds.append(bound)
    return Stationarity(float(np.linalg.norm(parts)), bool(np.all(margins >= -near)), (bounds[0], bounds[1]))


def _bound(slope: np.ndarray, normals: np.ndarray, which: np.ndarray, near: float) -> tuple[Bound, float]:
    """The multipliers of one player, and what is left of its gradient."""
    free = Bound((), None, None, np.zeros((0, slope.size)), True)
    if not which.size:
        return free, float(np.linalg.norm(slope))
    if not np.all(np.isfinite(normals)) or not np.all(np.isfinite(slope)):
        return free, float("nan")
    multipliers, residual = scipy.optimize.nnls(normals.T, slope)
    scale = np.linalg.norm(normals, axis=1)
    pull = multipliers * scale
    zero, held = pull <= near * 1e-2 * (1 + np.linalg.norm(slope)), pull > near * (1 + np.linalg.norm(slope))
    unique = np.linalg.matrix_rank(normals / scale[:, None], tol=1e-8) == which.size
    sure, strong = bool(unique and np.all(zero | held)), normals[held]
    if not strong.size:
        return free._replace(cone=normals / scale[:, None], sure=sure), float(residual)
    along, across = scipy.linalg.null_space(strong, rcond=1e-10), np.linalg.pinv(strong, rcond=1e-10)
    cone = normals[~held] / scale[~held, None] @ along
    return Bound(tuple(which[held].tolist()), along, across, cone, sure), float(residual)


def null_space(rows: np.ndarray, tolerance: float) -> np.ndarray:
    """An orthonormal basis of what the rows map to zero, to within a tolerance."""
    if not rows.size:
        return np.eye(rows.shape[1])
    _, sizes, basis = np.linalg.svd(rows)
    return basis[int(np.sum(sizes > tolerance)) :].T


def least(form: np.ndarray, cone: np.ndarray) -> tuple[float, float]:
    """Bounds on the least value of a quadratic form on unit vectors with `cone @ d >= 0`.

    On the cone's face where it is least, it is an eigenvalue of the form on that face's span, with an eigenvector inside.
    """
    if not form.size:
        return np.inf, np.inf
    if not len(cone):
        value = float(np.linalg.eigvalsh(form)[0])
        return value, value
    if len(cone) > _MOST_FACES:
        held = null_space(cone, 1e-10)
        return float(np.linalg.eigvalsh(form)[0]), least(held.T @ form @ held, cone[:0])[0]
    low, high, size = np.inf, np.inf, float(np.linalg.norm(form))
    for count in range(len(cone) + 1):
        for face in itertools.combinations(range(len(cone)), count):
            span = null_space(cone[list(face)], 1e-10) if face else np.eye(len(form))
            if not span.shape[1]:
                continue
            values, vectors = np.linalg.eigh(span.T @ form @ span)
            slack = np.delete(cone, face, axis=0) @ span @ vectors
            inside = np.maximum(slack.min(axis=0, initial=np.inf), (-slack).min(axis=0, initial=np.inf))
            # Eigenvectors of values that all but coincide are any of their span.
            gaps = np.abs(values[:, None] - values[None])
            alone = (gaps > 1e-8 * size) | np.eye(len(values), dtype=bool)
            possible = (inside >= -1e-8) | ~alone.all(axis=1)
            low = min(low, values[possible].min(initial=np.inf))
            high = min(high, values[inside >= -1e-13].min(initial=np.inf))
    return float(low), float(high)


def untouched(constraint: AbstractConstraint | None, x: PyTree) -> bool:
    """Whether a constraint binds nothing.

    Raises:
        ValueError: It does.
    """
    if constraint is None:
        return True
    check_constraint(constraint, "notions")
    near = _tree.eps(x) ** 0.5 * (1 + float(_tree.norm(x)))
    if np.any(np.asarray(constraint.margins(x)) <= near):
        raise ValueError("notions: Lanczos knows no constraints that bind; take spectrum=gd.Dense().")
    return True
