"""Whether a stationary point is a local minimum: by its Hessian, and where that is singular by what lies beyond."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from ._blocks import Derivatives, Local, finest, losses_at
from ._cone import least

STRICT, WEAK, NO, UNDECIDED, FAILED = 0, 1, 2, 3, 4
VERDICTS = ("strict", "weak", "no", "undecided", "failed")
_REACHES = (0.1, 0.03, 0.01)
_CHORDS, _FEW, _LINES = 24, 4, 6


class Condition(eqx.Module):
    """One player's second-order condition: the eigenvalues that decide, their error, and the verdict as a number.

    `eigenvalues` are those of the form on the tangent space of what binds the player, in ascending order; `error` bounds how
    far each may be from the truth.
    """

    eigenvalues: Float[Array, " n"]
    error: Scalar
    code: Int[Array, ""]

    @property
    def verdict(self) -> str:
        """`strict`, `weak` (it holds, not strictly), `no`, `undecided`, or `failed`."""
        return VERDICTS[int(self.code)]

    def __str__(self) -> str:
        if not self.eigenvalues.size:
            return f"{self.verdict} ({'no direction left' if np.isfinite(self.error) else 'nothing known'})"
        return f"{self.verdict} (least {float(self.eigenvalues[0]) + 0.0:.6g}, error {float(self.error):.1g})"


def condition(form: np.ndarray, error: float, code: int) -> Condition:
    """A condition from NumPy's numbers."""
    values = np.linalg.eigvalsh(form) if form.size else np.zeros(len(form))
    return Condition(jnp.asarray(values), jnp.asarray(float(error)), jnp.asarray(code))


def both(one: int, other: int) -> int:
    """The verdict on two conditions at once."""
    return next((code for code in (FAILED, NO, UNDECIDED, WEAK) if code in (one, other)), STRICT)


class Value(eqx.Module):
    """What a player minimises: its loss, while the other stays or answers by a quasi-Newton method on its own loss.

    `answer` is the inverse of the other's Hessian, or a pseudo-inverse, and each step gains an order in the distance; None
    where the other stays.
    """

    game: Local
    answer: Array | None
    player: int = eqx.field(static=True)

    def own(self, centre: Array) -> Array:
        """The player's part of a vector of coordinates."""
        k = self.game.start().generator.size
        return centre[k:] if self.player else centre[:k]

    def outcome(self, centre: Array, u: Array, shift: Array | None, steps: int) -> tuple[Array, Array]:
        """Both losses, and how far the other has moved from the centre."""
        y = self.game.start()
        k = y.generator.size
        start = centre[:k] if self.player else centre[k:]
        w = start if shift is None else start + shift

        def losses(u: Array, w: Array) -> Array:
            return losses_at(self.game, y, jnp.concatenate([w, u] if self.player else [u, w]))

        if (answer := self.answer) is not None:
            slope = jax.grad(lambda w: losses(u, w)[1 - self.player])
            w = jax.lax.scan(lambda w, _: (w - answer @ slope(w), None), w, length=steps)[0]
        return losses(u, w), w - start

    def __call__(self, centre: Array, u: Array, steps: int) -> Scalar:
        return self.outcome(centre, u, None, steps)[0][self.player]


@eqx.filter_jit
def _along(value: Value, centre: Array, directions: Array, relax: Array) -> tuple[Array, Array, Array]:
    """How much the loss changes along directions, minimised across them, how far the other moves meanwhile, and its size."""
    start = value.own(centre)
    reach = jnp.asarray(_REACHES, start.dtype) * (1 + jnp.linalg.norm(start))
    offsets = (reach[:, None, None] * jnp.concatenate([directions, -directions])[None]).reshape(-1, start.size)
    slope = jax.grad(lambda u: value(centre, u, _CHORDS))

    def run(offset: Array) -> tuple[Array, Array]:
        u = jax.lax.scan(lambda u, _: (u - relax @ slope(u), None), start + offset, length=_CHORDS)[0]
        losses, moved = value.outcome(centre, u, None, _CHORDS)
        return losses[value.player], jnp.linalg.norm(moved)

    losses, moved = jax.lax.map(run, offsets)
    here = value(centre, start, _CHORDS)
    return jnp.abs(losses - here).max(), moved.max(), jnp.abs(here)


@eqx.filter_jit
def _jets(value: Value, centres: Array, directions: Array, relax: Array) -> tuple[Array, Array, Array]:
    """Third and reduced fourth derivatives along directions, at several centres, and the size of what they are made of."""

    def at(centre: Array, v: Array) -> tuple[Array, Array, Array]:
        def bend(f: Callable, u: Array) -> Array:
            return jax.jvp(lambda a: jax.jvp(f, (a,), (v,))[1], (u,), (v,))[1]

        def second(u: Array) -> Array:
            return bend(lambda a: value(centre, a, _FEW), u)

        start = value.own(centre)
        turn, fourth = jax.jacfwd(second)(start), bend(second, start)
        coupling = 3 * turn @ relax @ turn
        return turn @ v, fourth - coupling, jnp.abs(fourth) + jnp.abs(coupling) + jnp.linalg.norm(turn)

    return jax.lax.map(lambda centre: jax.lax.map(lambda v: at(centre, v), directions), centres)


@eqx.filter_jit
def _aside(value: Value, centre: Array, direction: Array, shifts: Array) -> tuple[Array, Array, Array]:
    """By how much the loss exceeds its tangent, and both losses change, as the other moves along `shifts`; and their size."""
    start = value.own(centre)
    reach = jnp.asarray(_REACHES, start.dtype) * (1 + jnp.linalg.norm(centre))

    def run(i: Array) -> tuple[Array, Array]:
        u, shift = start + reach[i[0]] * direction, shifts[i[2]]

        def along(t: Array) -> Array:
            return value.outcome(centre, u, t * shift, _CHORDS)[0]

        zero = jnp.zeros_like(reach[0])
        (middle, slope), up, down = jax.jvp(along, (zero,), (zero + 1,)), along(reach[i[1]]), along(-reach[i[1]])
        gain = jnp.maximum((up - middle - reach[i[1]] * slope)[0], (down - middle + reach[i[1]] * slope)[0])
        return gain, jnp.maximum(jnp.abs(up - middle), jnp.abs(down - middle)).max()

    count = len(_REACHES)
    indices = jnp.stack(jnp.meshgrid(*map(jnp.arange, (count, count, shifts.shape[0])), indexing="ij"), -1).reshape(-1, 3)
    gains, changes = jax.lax.map(run, indices)
    here = losses_at(value.game, value.game.start(), centre)
    return gains.max(), changes.max(), jnp.abs(here).max()


def lines(basis: np.ndarray) -> np.ndarray:
    """Unit vectors of a span, as rows: its only one, or some that are generic."""
    if basis.shape[1] == 1:
        return basis.T
    rows = np.random.default_rng(0).normal(size=(_LINES, basis.shape[1])) @ basis.T
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def judge(form: np.ndarray, error: float, cone: np.ndarray, sure: bool = True) -> int | None:
    """The verdict of the form alone on a cone; None where it is singular and no cone forbids to look further."""
    low, high = least(form, cone)
    if not low <= error:
        return STRICT if low > error else UNDECIDED
    if high < -error:
        return NO if sure else UNDECIDED
    return UNDECIDED if len(cone) or not sure else None


class Beyond(eqx.Module):
    """What lies beyond a singular form: the verdict, and whether the other player stays where it is along the null space."""

    code: int
    still: bool = False


def beyond(value: Value, found: Derivatives, form: np.ndarray, error: float, span: np.ndarray | None = None) -> Beyond:
    """The verdict where a form is singular, from higher derivatives of the loss.

    By the splitting lemma (Gromoll and Meyer, 1969) a point is a minimum if the loss, minimised across the null space, is one
    along it. Where it is constant to rounding at several reaches, the minimum is a weak one, as on a manifold of equilibria;
    along a single null direction the third and fourth derivatives decide; a descent along any of them refutes.
    """
    values, vectors = np.linalg.eigh(form)
    null = np.abs(values) <= error
    embed = vectors if span is None else span @ vectors
    directions = jnp.asarray(lines(embed[:, null]))
    relax = jnp.asarray(embed[:, ~null] / values[~null] @ embed[:, ~null].T)
    centre, fine = found.aside[0], value.game.precision(value.game.start())
    flat, still, size = True, True, float(np.linalg.norm(found.hessians))
    for game in {id(g): g for g in (value.game, finest(value.game))}.values():
        there = eqx.tree_at(lambda v: v.game, value, game)
        change, moved, here = _along(there, centre, directions, relax)
        flat &= bool(change <= 200 * fine * (1 + here + np.linalg.norm(found.hessians[value.player])))
        size = max(size, float(change))
        still &= bool(moved <= 1e-8 * (1 + np.linalg.norm(centre)))
    if flat:
        return Beyond(WEAK, still)
    # Zero only to within a large error is no zero.
    if not error <= fine**0.5 * size:
        return Beyond(UNDECIDED)
    return Beyond(_by_jets(value, found, directions, relax, fine))


def _by_jets(value: Value, found: Derivatives, directions: Array, relax: Array, fine: float) -> int:
    thirds, fourths, sizes = map(np.asarray, _jets(value, found.aside, directions, relax))
    if not (np.all(np.isfinite(thirds)) and np.all(np.isfinite(fourths))):
        return UNDECIDED
    rounding = 1e3 * fine * (sizes.max() + float(np.linalg.norm(found.hessians[value.player])))
    skew = 2 * np.abs(thirds - thirds[0]).max() + rounding
    error = 2 * np.abs(fourths - fourths[0]).max() + rounding
    odd = np.abs(thirds[0]) > skew
    if odd.any() or (fourths[0] < -error).any():
        return NO
    return STRICT if len(directions) == 1 and fourths[0, 0] > error else UNDECIDED


def settles(value: Value, found: Derivatives, direction: np.ndarray, null: np.ndarray) -> tuple[bool, bool]:
    """Whether the other's null space is of no help to it, and whether no loss depends on it, as with gauge freedom.

    Its payoff then stays below its tangent along that space, whose slope is of second order in the player's move along
    `direction`: to rounding, at several reaches of both.
    """
    centre, fine = found.aside[0], value.game.precision(value.game.start())
    gain, change, size = _aside(value, centre, jnp.asarray(direction), jnp.asarray(lines(null)))
    tolerance = 200 * fine * (1 + float(size) + float(np.linalg.norm(found.hessians[0])))
    return bool(gain <= tolerance), bool(change <= tolerance)
