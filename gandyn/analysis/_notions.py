"""Which equilibrium a stationary point of a game is: a local Nash, Stackelberg or proximal one."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._constraint import AbstractConstraint
from .._evolve import prepare
from .._results import RESULTS, check, first
from .._system import AbstractGame
from ..games._distance import euclidean
from ._blocks import Derivatives, Local, derivatives, opposed
from ._cone import Stationarity, stationarity, untouched
from ._lanczos import Lanczos, MatrixFree, Search, search
from ._memory import stationary_tolerance
from ._notion import Notion, Notions, failed, within
from ._schur import Blocks, Limit, limit, schur
from ._second_order import (
    NO,
    STRICT,
    UNDECIDED,
    WEAK,
    Beyond,
    Condition,
    Value,
    beyond,
    condition,
    judge,
    settles,
)
from ._stability import Dense


def _blocks(found: Derivatives, points: Stationarity, slack: Array) -> Blocks:
    k = points.bounds[0].cone.shape[1]
    one, two = found.hessians
    a, b, c, e, f = map(jnp.asarray, (one[:k, :k], two[k:, k:], one[:k, k:], -two[k:, :k], one[k:, k:]))
    push, cones = jnp.asarray(found.gradients[0, k:]), [jnp.asarray(bound.cone) for bound in points.bounds]
    sure = jnp.asarray(all(bound.sure for bound in points.bounds))
    levels = (found.level, found.metric_level, slack, found.zero_sum, sure)
    return Blocks(a, b, c, e, f, push, found.metric, cones[0], cones[1], *levels)


def _alone(local: Local, found: Derivatives, form: Array, cone: Array, sure: bool, player: int) -> Condition:
    """Whether a player's own loss is least where it is, the other staying."""
    matrix, error = np.asarray(form), float(found.level)
    code = judge(matrix, error, np.asarray(cone), sure)
    if code is None:
        code = beyond(Value(local, None, player), found, matrix, error).code
    return condition(matrix, error, code)


def _answered(local: Local, found: Derivatives, blocks: Blocks) -> tuple[Condition, bool]:
    """Whether the generator's loss is least where it is, the discriminator giving its best answer; and whether that moves."""
    if len(blocks.cone_b):
        s, code = within(blocks, 0.0)
        return condition(s.form, s.error, code), False
    s = schur(blocks, 0.0)
    code = judge(s.form, s.error, np.asarray(blocks.cone_a) @ s.span, bool(blocks.sure))
    more = Beyond(UNDECIDED if code is None else code)
    if s.slope > blocks.slack or float(np.linalg.norm(blocks.push)) > blocks.slack or not s.concave:
        refuted = s.slope > blocks.slack and s.concave and not s.null.shape[1] and not len(blocks.cone_a)
        return condition(s.form, s.error, NO if refuted else UNDECIDED), False
    value = Value(local, jnp.asarray(s.answer), 0)
    if code is None:
        more = beyond(value, found, s.form, s.error, s.span)
    code = more.code
    if s.null.shape[1]:
        worst = s.span @ np.linalg.eigh(s.form)[1][:, 0] if s.form.size else np.eye(len(s.span))[0]
        sides = [settles(value, found, sign * worst, s.null) for sign in (1, -1)]
        harmless = any(docile for docile, _ in sides) if code == NO else True
        same = all(gauge for _, gauge in sides)
        if not (harmless if blocks.zero_sum else same and not s.coupled):
            code = UNDECIDED
    return condition(s.form, s.error, code), more.still


def _largest(blocks: Blocks, nash: Notion, stackelberg: Notion, still: bool) -> Limit:
    """The largest price at which the point is a proximal equilibrium.

    Directions along which the loss is constant and the discriminator stays are so at every price, and are set aside.
    """
    nothing = (np.nan, np.nan)
    codes = int(nash.discriminator.code), int(stackelberg.generator.code)
    if NO in codes:
        return Limit(*nothing, RESULTS.not_stackelberg)
    if codes[0] == UNDECIDED or not blocks.sure or float(np.linalg.norm(blocks.push)) > blocks.slack:
        return Limit(*nothing, RESULTS.undecided)
    holds = int(nash.generator.code) in (STRICT, WEAK)
    if holds and blocks.zero_sum:
        return Limit(np.inf, 0.0, RESULTS.successful)
    if still:
        blocks = blocks.across(_flat(blocks))
    found, other = limit(blocks.held()), limit(blocks.free()) if len(blocks.cone_b) else None
    if other is not None and not abs(found.value - other.value) <= 1e-9 * abs(found.value):
        return Limit(*nothing, RESULTS.undecided)
    if found.result == RESULTS.undecided and found.value == 0 and stackelberg.code in (STRICT, WEAK):
        return Limit(0.0, found.error, RESULTS.successful)
    if found.result == RESULTS.undecided:
        always = holds or (blocks.zero_sum and _saved(blocks))
        return Limit(np.inf, 0.0, RESULTS.successful) if always else Limit(*nothing, RESULTS.undecided)
    return found


def _flat(blocks: Blocks) -> np.ndarray:
    """The null space of the generator's curvature where the discriminator answers freely."""
    s = schur(blocks, 0.0)
    values, vectors = np.linalg.eigh(s.form)
    return s.span @ vectors[:, np.abs(values) <= s.error]


def _saved(blocks: Blocks) -> bool:
    """Whether the discriminator sees every direction in which the generator's own curvature is zero, and none is negative.

    What is zero only to within a large error may be negative, and a high price would show it.
    """
    values, vectors = np.linalg.eigh(np.asarray(blocks.a))
    level, size = float(blocks.level), sum(float(np.linalg.norm(m)) for m in (blocks.a, blocks.b, blocks.e))
    if not level <= float(np.finfo(values.dtype).eps) ** 0.5 * size:
        return False
    seen = np.linalg.svd(np.asarray(blocks.e) @ vectors[:, values <= level], compute_uv=False)
    enough = seen.size == np.sum(values <= level) and seen.min(initial=np.inf) > 10 * level
    return bool(values.min(initial=0.0) >= -level and enough and not len(blocks.cone_a) and not len(blocks.cone_b))


def _dense(local: Local, points: Stationarity, norm: Callable) -> Notions:
    """The answer from the blocks as matrices."""
    y = local.start()
    found, k = derivatives(local, norm), y.generator.size
    found = found._replace(hessians=np.asarray(found.hessians), gradients=np.asarray(found.gradients))
    slope = np.linalg.norm(np.concatenate([found.hessians[0, :k], found.hessians[1, k:]]))
    tolerance = stationary_tolerance(y, jnp.asarray(slope))
    if not all(bool(np.all(np.isfinite(v))) for v in (found.hessians, found.metric, found.level)):
        return failed(first(local.game.failure(local.x), RESULTS.nonfinite), points.residual)
    if points.residual > tolerance:
        return failed(RESULTS.not_stationary, points.residual)
    blocks = _blocks(found, points, tolerance)
    sures = [bound.sure for bound in points.bounds]
    generator = _alone(local, found, blocks.a, blocks.cone_a, sures[0], 0)
    discriminator = _alone(local, found, blocks.b, blocks.cone_b, sures[1], 1)
    outer, still = _answered(local, found, blocks)
    nash, stackelberg = Notion(generator, discriminator), Notion(outer, discriminator)
    largest = _largest(blocks, nash, stackelberg, still)
    value, error, residual = (jnp.asarray(float(v)) for v in (largest.value, largest.error, points.residual))
    success = RESULTS.successful
    return Notions(nash, stackelberg, value, error, largest.result, residual, success, blocks, jnp.asarray(bool(still)))


def _matrix_free(local: Local, points: Stationarity, norm: Callable, lanczos: Lanczos) -> Notions:
    """The answer from products."""
    free, y = MatrixFree(local, norm, lanczos), local.start()
    generator, discriminator = free.alone(0), free.alone(1)
    slope = np.max([generator.size, discriminator.size, free.coupling()])
    if not np.isfinite(slope):
        return failed(first(local.game.failure(local.x), RESULTS.nonfinite), points.residual)
    tolerance = stationary_tolerance(y, jnp.asarray(slope))
    if points.residual > tolerance:
        return failed(RESULTS.not_stationary, points.residual)
    push, zero_sum = free.push(), opposed(local)
    answered = free.answered(0.0) if push <= tolerance else None
    unknown = Condition(jnp.zeros((0,)), jnp.asarray(jnp.inf), jnp.asarray(UNDECIDED))
    outer = unknown if answered is None else answered.condition
    nash, stackelberg = Notion(generator.condition, discriminator.condition), Notion(outer, discriminator.condition)
    result, found = RESULTS.undecided, Search([], [], [], np.nan, np.nan)
    if NO in (discriminator.code, int(outer.code)):
        result = RESULTS.not_stackelberg
    elif generator.code == STRICT and zero_sum:
        found, result = Search([], [], [], np.inf, 0.0), RESULTS.successful
    elif push <= tolerance and zero_sum:
        found = search(free, free.scale(discriminator.size), generator.vector)
        result = RESULTS.undecided if np.isnan(found.value) else RESULTS.successful
    if discriminator.code == UNDECIDED:
        # The prices that were looked at are kept, and refute.
        found, result = found._replace(value=np.nan, error=np.nan), RESULTS.undecided
    prices, curvatures, errors = (jnp.asarray(column, float) for column in found[:3])
    value, error, residual = (jnp.asarray(float(v)) for v in (found.value, found.error, points.residual))
    return Notions(
        nash,
        stackelberg,
        value,
        error,
        result,
        residual,
        RESULTS.successful,
        prices=prices,
        curvatures=curvatures,
        errors=errors,
    )


def notions(
    game: AbstractGame,
    x: PyTree,
    *,
    norm: Callable = euclidean,
    constraint: AbstractConstraint | None = None,
    spectrum: Dense | Lanczos = Dense(),
    throw: bool = True,
) -> Notions:
    r"""Whether a stationary point is a local Nash, Stackelberg and :math:`\lambda`-proximal equilibrium.

    With the generator's loss :math:`\ell_1`, the discriminator's :math:`\ell_2`, and a price :math:`\lambda\,d` on the
    discriminator's moves (Farnia and Ozdaglar, 2020), the point is locally

    - *Nash* if each loss is least in its player's own parameters: :math:`A = \partial^2_{\theta\theta}\ell_1 \ge 0` and
      :math:`B = \partial^2_{\psi\psi}\ell_2 \ge 0`;
    - *Stackelberg*, or minimax (Jin, Netrapalli and Jordan, 2020), if :math:`B \ge 0` and
      :math:`\ell_1(\theta, r(\theta))` is least, r being the discriminator's best answer by its own loss: in a zero-sum game
      :math:`A + C B^+ C^\top \ge 0` with :math:`C = \partial^2_{\theta\psi}\ell_1`, on the v with :math:`C^\top v` in the
      range of B; off it the inner maximum grows linearly, which favours the point;
    - :math:`\lambda`-*proximal* if :math:`B \ge 0` and :math:`\ell_1(\theta, r_\lambda(\theta)) - \lambda d` is least with the
      best answer at that price, the objective of `Proximal`: :math:`A + C (B + 2\lambda M)^+ C^\top \ge 0` with M half the
      Hessian of d. The larger :math:`\lambda` is, the fewer points of a zero-sum game are proximal, between Stackelberg at
      zero and Nash at infinity.

    A definite form is *strict*; an eigenvalue below minus its error refutes. Where one is zero to within its error it is
    looked at further: a loss that is constant along the null space to rounding, as with bilinear games and manifolds of
    equilibria, is *weak*; along a single null direction the third and fourth derivatives decide; anything else is
    *undecided*. The error covers rounding, the residual, and quadratures (with `Lanczos` rounding and its own residuals
    only). In a game that is not zero-sum "the largest
    :math:`\lambda`" is that up to which the point is proximal for every smaller one.

    Args:
        game: A game of two players; its first is the generator.
        x: A stationary point, such as `equilibrium(...).state`, or one where the gradients push against `constraint` only.
        norm: The squared distance d between the discriminators of two states, `euclidean`, `sobolev` or one's own function
            `(game, x, y) -> scalar`, which is called with the game beneath all penalties.
        constraint: A set that bounds either player, not both at once; the forms are then those of the Lagrangian on each
            player's cone of directions that its gradient does not forbid.
        spectrum: `Dense()`, or `Lanczos()` for games of more parameters than matrices allow.
        throw: Raise where there is nothing to say.

    Returns:
        A `Notions` with `.nash`, `.stackelberg`, `.proximal` and `.proximal_at(lam)`.

    Raises:
        ValueError: No game, one of other than two players, or a constraint that binds both at once.
        RuntimeError: The point is not stationary, breaks the constraint or lies on a kink, or a number is not finite (with
            `throw`).
    """
    if not isinstance(game, AbstractGame):
        raise ValueError(
            f"notions takes a game, because an equilibrium is one of two losses; {type(game).__name__} is a field without any. "
            "Pass the game beneath it, and a constraint as `constraint=`."
        )
    game, x = prepare(game, x)
    if len(_tree.players(x)) != 2:
        raise ValueError(f"notions takes a game of a generator and a discriminator; the state is {_tree.describe(x)}.")
    loose = isinstance(spectrum, Lanczos)
    points = stationarity(game, x, None if loose and untouched(constraint, x) else constraint)
    found = _early(game, x, points)
    if found is None and loose:
        found = _matrix_free(Local(game, x), points, norm, spectrum)
    elif found is None:
        found = _dense(_coordinates(game, x, constraint, points), points, norm)
    check(found.result, throw, "notions: ")
    return found


def _coordinates(game: AbstractGame, x: PyTree, constraint: AbstractConstraint | None, points: Stationarity) -> Local:
    """The game along the constraints that bind."""

    def basis(matrix: np.ndarray | None) -> Array | None:
        return None if matrix is None else jnp.asarray(matrix)

    one, two = points.bounds
    along, across = (basis(one.along), basis(two.along)), (basis(one.across), basis(two.across))
    return Local(game, x, constraint, along, across, (one.active, two.active))


def _early(game: AbstractGame, x: PyTree, points: Stationarity) -> Notions | None:
    """What is found before any second derivative."""
    if not np.isfinite(points.residual):
        return failed(first(game.failure(x), RESULTS.nonfinite), points.residual)
    if not points.feasible:
        return failed(RESULTS.infeasible, points.residual)
    if bool(jnp.any(jnp.abs(game.switches(x)) <= _tree.eps(x) ** 0.5)):
        return failed(RESULTS.switching, points.residual)
    return None
