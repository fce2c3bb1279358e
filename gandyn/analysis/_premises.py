"""The verdicts on what theorems on GANs presuppose, from numbers that know their errors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array

from .. import _tree
from .._system import AbstractGame, Players
from ..games._gan import GAN, AbstractGAN
from ..games._measure import companion
from ._ingredients import Laws, Matching, Vanishing, blocks_of, displaced, laws_of, payoffs_of, probe, zeros
from ._stability import stability
from ._verdict import Stability

HOLDS, FAILS, UNDECIDED, ABSENT = "holds", "fails", "undecided", "does not apply"


class Finding(NamedTuple):
    """The verdict on an assumption: the number that decides, its error, further numbers, and why where that is not plain."""

    verdict: str
    value: float = float("nan")
    error: float = 0.0
    numbers: tuple[tuple[str, float], ...] = ()
    reason: str = ""


def _zero(value: float, error: float, limit: float) -> str:
    """Whether a number is zero; an error beyond the limit leaves that open."""
    if not np.isfinite(value + error):
        return UNDECIDED
    return FAILS if abs(value) > error else HOLDS if error <= limit else UNDECIDED


def _positive(value: float, error: float, limit: float) -> str:
    """Whether a number is positive; one that is zero to within an error below the limit is not."""
    if not np.isfinite(value + error):
        return UNDECIDED
    if value > error:
        return HOLDS
    return FAILS if value < -error or error <= limit else UNDECIDED


class Point(NamedTuple):
    """A game, its version with finer quadratures if it has any, a state, and those on the far side of the equilibrium."""

    game: AbstractGame
    finer: AbstractGame | None
    x: Players
    far: Players
    weak: Players


class Blocks(NamedTuple):
    """The blocks of the Jacobian at an equilibrium, by how much they may be wrong, and what persists there.

    `form` is how far they are from the lemma's form, with its error. `level` is the error of the blocks and `loose` that of the
    curvature; `limit` the largest level at which a number can be called zero. `tangent` spans the directions of equilibria,
    `certain` tells that these are all.
    """

    dd: np.ndarray
    dg: np.ndarray
    gd: np.ndarray
    curvature: np.ndarray
    form: tuple[float, float]
    level: float
    loose: float
    limit: float
    tangent: np.ndarray
    certain: bool
    stability: Stability


def _change(name: str, here: Any, far: Any, finer: Any) -> float:
    """By how much a number changes at the other side of the equilibrium and under another quadrature.

    They count twice and four times: a sum that converges like 1/n shows a third of its error at half as many nodes again.
    """
    mine, others = getattr(here, name), [(2.0, far), *([] if finer is None else [(4.0, finer)])]
    return float(sum(factor * np.linalg.norm(np.asarray(getattr(other, name)) - mine) for factor, other in others))


def point_of(game: AbstractGame, x: Players) -> Point:
    """The equilibrium at a state."""
    return Point(game, companion(game), x, *displaced(x, blocks_of(game, x)))


def blocks_at(point: Point, found: Stability, cancelled: float) -> Blocks:
    """The blocks at an equilibrium of a known stability; `cancelled` is the size of terms that may have cancelled in them."""
    game, x, eps = point.game, point.x, _tree.eps(point.x)
    here, far = blocks_of(game, x), blocks_of(game, point.far)
    finer = None if point.finer is None else blocks_of(point.finer, x)
    k, n, n_g = np.asarray(here.jacobian, float), here.jacobian.shape[0], here.curvature.shape[0]
    size, sizes = float(np.linalg.norm(k)), np.linalg.svd(k, compute_uv=False)
    # A Jacobian that is all but singular may belong to a root of higher order beside, where it is singular.
    slope = float(np.max(sizes[sizes < 10 * eps**0.5 * size], initial=0.0))
    beside = blocks_of(game, point.weak)
    turned = _change("jacobian", here, beside, None) / 2
    weak = 2 * turned if turned < 2 * slope else 4 * slope
    rounding = 4 * n * game.precision(x)
    level = rounding * (size + cancelled) + weak + _change("jacobian", here, far, finer) + float(np.finfo(float).tiny)
    coupling = float(np.linalg.norm(k[n_g:, :n_g])) + level
    curvature = np.asarray(here.curvature, float)
    loose = rounding * (np.linalg.norm(curvature) + cancelled * coupling) + 4 * coupling * weak
    loose = float(loose) + _change("curvature", here, far, finer) + float(np.finfo(float).tiny)
    manifold, certain = zeros(game, x)
    tangent = np.asarray(manifold.tangent, float)
    if 0 < manifold.dimension < n:
        found = stability(game, x, modulo=manifold, throw=False)
    limit = eps**0.5 * (size + cancelled) + float(np.finfo(float).tiny) / eps
    unsure = rounding * (size + cancelled) + _change("form", here, far, finer) + _change("form", here, beside, None)
    form = float(np.linalg.norm(np.asarray(here.form))), unsure
    dd, dg, gd = k[n_g:, n_g:], k[n_g:, :n_g], k[:n_g, n_g:]
    return Blocks(dd, dg, gd, curvature, form, level, loose, limit, tangent, certain, found)


def _null(matrix: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues of a symmetric matrix, and its eigenvectors of those that are zero to within the level."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return values, vectors[:, np.abs(values) <= level]


def _overlap(null: np.ndarray, tangent: np.ndarray) -> int:
    """How many null directions lie along a tangent space."""
    return int(np.sum(np.linalg.svd(null.T @ tangent, compute_uv=False) > 0.5)) if null.size and tangent.size else 0


def _relaxed(strict: Finding, null: np.ndarray, tangent: np.ndarray, pull: np.ndarray, at: Blocks) -> Finding:
    """Whether all null directions of one player lead along equilibria.

    One along which the field changes to first order leads nowhere; the others are told by `zeros`.
    """
    count, along = null.shape[1], _overlap(null, tangent)
    finding = Finding(strict.verdict, count - along, 0.0, (("null directions", count), ("along equilibria", along)))
    if strict.verdict != FAILS:
        return finding
    if abs(strict.value) > strict.error:
        return finding._replace(reason="the curvature has the wrong sign")
    if count == along:
        return finding._replace(verdict=HOLDS)
    moving = int(np.sum(np.linalg.svd(pull @ null, compute_uv=False) > at.level))
    return finding._replace(verdict=FAILS if moving >= count - along or at.certain else UNDECIDED)


def _complement(null: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what is orthogonal to these columns."""
    return np.linalg.svd(null, full_matrices=True)[0][:, null.shape[1] :] if null.size else np.eye(null.shape[0])


def _lemma(q: np.ndarray, p: np.ndarray, level: float) -> tuple[float, float]:
    """The lemma's bounds for complex pairs and for real eigenvalues, with every number moved by the level for the worse."""
    values, sizes = np.linalg.eigvalsh((q + q.T) / 2), np.linalg.svd(p, compute_uv=False)
    low, high = max(values[0] - level, 0.0), values[-1] + level
    if p.shape[1] == 0:
        return -low / 2, -low
    coupling = max(sizes[-1] - level, 0.0) ** 2 if p.shape[0] >= p.shape[1] else 0.0
    return -low / 2, -low * coupling / (high * low + coupling) if low and coupling else 0.0


def _bound(at: Blocks, null_d: np.ndarray, null_g: np.ndarray, premises: list[str]) -> Finding:
    """The lemma's bound on the eigenvalues across the equilibria, beside the true abscissa."""
    growth, error = float(at.stability.growth), float(at.stability.error)
    if null_d.shape[1] == null_d.shape[0]:
        return Finding(ABSENT, numbers=(("abscissa", growth),), reason="V is flat in every direction of D")
    across_d, across_g = _complement(null_d), _complement(null_g)
    q, p = -across_d.T @ at.dd @ across_d, across_d.T @ at.dg @ across_g
    pairs, single = _lemma(q, p, 0.0)
    bound = max(pairs, single)
    unsure = max(_lemma(q, p, at.level)) - bound
    finding = Finding(HOLDS, bound, unsure, (("abscissa", growth), ("for pairs", pairs), ("for real ones", single)))
    if any(verdict != HOLDS for verdict in premises):
        return finding._replace(verdict=ABSENT, reason="a premise is missing: Assumption 2 or 3, or the form")
    if not np.isfinite(growth):
        return finding._replace(verdict=UNDECIDED)
    return finding if growth <= bound + unsure + error + at.level else finding._replace(verdict=FAILS)


def _condition(sizes: np.ndarray, level: float) -> float:
    """Largest over smallest; infinite where the smallest is zero."""
    return float(sizes.max() / sizes.min()) if sizes.min() > level else float("inf")


def _rank(values: np.ndarray, level: float, count: int) -> tuple[tuple[str, float], ...]:
    return (("rank", int(np.sum(np.abs(values) > level))), ("of", count))


def of_blocks(at: Blocks) -> dict[str, Finding]:
    """What is asked of the blocks of the Jacobian, of any two-player game."""
    n_d, n_g = at.dg.shape
    concave, null_d = _null(at.dd, at.level)
    curved, null_g = _null(at.curvature, at.loose)
    flat = at.limit * (at.limit + float(np.linalg.norm(at.dg)))
    second, third = _positive(-concave[-1], at.level, at.limit), _positive(curved[0], at.loose, flat)
    if third == FAILS and n_d >= n_g and np.linalg.svd(at.dg, compute_uv=False)[-1] > at.level:
        third = UNDECIDED  # The Hessian is singular to rounding; its root is not.
    nk2 = Finding(second, concave[-1] + 0.0, at.level, (("smallest", concave[0]), *_rank(concave, at.level, n_d)))
    nk3 = Finding(third, curved[0], at.loose, (("largest", curved[-1]), *_rank(curved, at.loose, n_g)))
    relaxed_d = _relaxed(nk2, null_d, at.tangent[n_g:], at.gd, at)
    relaxed_g = _relaxed(nk3, null_g, at.tangent[:n_g], at.dg, at)
    form = _zero(*at.form, at.limit)
    sizes = np.linalg.svd(at.gd, compute_uv=False)
    of_p = (("cond P", _condition(sizes, at.level)), *_rank(sizes, at.level, n_g))
    full, least = (FAILS, 0.0) if n_d < n_g else (_positive(sizes[-1], at.level, at.limit), sizes[-1])
    left = n_g - int(of_p[1][1])
    return {
        "nk2": nk2,
        "nk2_relaxed": relaxed_d,
        "nk3": nk3,
        "nk3_relaxed": relaxed_g,
        "nk_form": Finding(form, *at.form),
        "nk_bound": _bound(at, null_d, null_g, [relaxed_d.verdict, relaxed_g.verdict, form]),
        "np_p": Finding(full, least, at.level, of_p, f"zero eigenvalues: {left} at least" if left else ""),
        "np_q": nk2._replace(numbers=(("cond Q", _condition(np.abs(concave), at.level)), *_rank(concave, at.level, n_d))),
    }


def of_payoffs(gan: GAN) -> dict[str, Finding]:
    """What is asked of the objective's derivatives at zero."""
    values = np.asarray(payoffs_of(gan.objective, gan.real.points), float)
    eps = float(np.finfo(np.asarray(gan.real.points).dtype).eps)
    (g1, g2, c1, c2), error = values, 10 * eps * float(np.max(np.abs(values)))
    slopes, curvatures = (("g1'(0)", g1), ("g2'(0)", g2)), (("g1''(0)", c1), ("g2''(0)", c2))
    balance = _zero(g1 + g2, error, 1.0)
    slope = balance if abs(g1) > error or balance == UNDECIDED else FAILS
    return {
        "curvature": Finding(_positive(-c1 - c2, error, 1.0), c1 + c2, error, curvatures),
        "slope": Finding(slope, g1 + g2, error, slopes),
    }


def of_laws(point: Point) -> tuple[dict[str, Finding], float]:
    """What is asked of the two laws and of the discriminator, and the size of terms that may cancel in the Jacobian."""
    gan, x = point.game, point.x
    assert isinstance(gan, AbstractGAN)
    at, eps = probe(gan, x), _tree.eps(x)
    here, far = laws_of(gan, x, at), laws_of(gan, point.far, at)
    finer = laws_of(point.finer, x, at) if isinstance(point.finer, AbstractGAN) else None

    def error(name: str, size: float) -> float:
        return 100 * eps * size + _change(name, here, far, finer)

    apart, unsure = float(np.linalg.norm(here.difference)), error("difference", 1.0)
    same = _zero(apart, unsure, eps**0.5)
    found = {"laws": Finding(same, apart, unsure)}
    for key, name in (("zero", "outputs"), ("near", "near")):
        # The outputs at the points of another quadrature are others, but their largest are alike.
        value, other = (float(np.max(np.abs(getattr(one, name)))) for one in (here, finer or here))
        moved = 2 * float(np.max(np.abs(getattr(far, name) - getattr(here, name))))
        unsure = 100 * eps * float(here.rounding) + moved + 4 * abs(other - value)
        found[key] = Finding(_zero(value, unsure, eps**0.5), value, unsure)
    found["discriminator"] = _after(found["near"], "D does not vanish there") or _across_flat(gan, x, here, error)
    found["generator"] = _after(found["laws"], "the laws differ") or _across_match(gan, x, here, error, at.frequencies)
    steepest = np.max(np.abs(np.asarray(payoffs_of(gan.objective, gan.real.points)))) if isinstance(gan, GAN) else 1.0
    return found, float(here.size) * float(steepest)


def _after(first: Finding, reason: str) -> Finding | None:
    """The finding where a manifold goes not through the point, or may not."""
    return {HOLDS: None, FAILS: Finding(ABSENT, reason=reason)}.get(first.verdict, Finding(UNDECIDED))


def _across_flat(gan: AbstractGAN, x: Players, here: Laws, error: Callable[[str, float], float]) -> Finding:
    """Whether h grows to second order across the discriminators that vanish near the data."""
    hessian = np.asarray(here.flatness, float)
    size = float(np.linalg.norm(hessian))
    level = error("flatness", size)
    values, null = _null(hessian, level)
    count = null.shape[1]
    found = zeros(Vanishing(gan), x.discriminator) if count else None
    along = 0 if found is None else found.manifold.dimension
    verdict = HOLDS if along == count else FAILS if found is not None and found.certain else UNDECIDED
    if count and level > _tree.eps(x) ** 0.5 * max(size, 1.0):
        verdict = UNDECIDED
    across = float(values[count]) if count < values.size else float("nan")
    return Finding(verdict, across, level, (("null directions", count), ("dimension of T_D", along)))


def _across_match(
    gan: AbstractGAN, x: Players, here: Laws, error: Callable[[str, float], float], frequencies: Array
) -> Finding:
    """Whether g changes to first order across the generators of the data's law."""
    pull, moved = np.asarray(here.pull, float), np.asarray(here.moved, float)
    level = error("pull", float(here.size) + float(np.linalg.norm(pull)))
    _, sizes, rows = np.linalg.svd(pull)
    rank = int(np.sum(sizes > level))
    null = rows[rank:].T
    count = null.shape[1]
    value = float(sizes[rank - 1]) if rank else float("nan")
    if not count:
        return Finding(HOLDS, value, level, (("null directions", 0), ("dimension of T_G", 0)))
    if level > _tree.eps(x) ** 0.5 * max(float(here.size), 1.0):
        return Finding(UNDECIDED, value, level, (("null directions", count),))
    changes = np.linalg.svd(moved @ null, compute_uv=False)
    still = count - int(np.sum(changes > error("moved", float(np.linalg.norm(moved)))))
    along = zeros(Matching(gan, frequencies), x.generator).manifold.dimension if still == count else still
    verdict = FAILS if still < count else HOLDS if along == count else UNDECIDED
    return Finding(verdict, value, level, (("null directions", count), ("dimension of T_G", along)))
