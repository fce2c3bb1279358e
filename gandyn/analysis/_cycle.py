"""Limit cycles: closed orbits with their periods and Floquet multipliers, and families of them around centres."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, PyTree, Scalar, ScalarLike

from .. import _march, _tree
from .._evolve import prepare
from .._field import Flat
from .._march import Solver
from .._results import RESULTS, check, worst
from .._section import Section, on_vectors, prepare_section
from .._system import AbstractFlow
from ._floquet import floquet, product
from ._recurrence import Guess, across, closest_return, same_to
from ._shooting import Shot, finder, neutral_direction, shoot, states_at

# How often a guess may go round: a period that is more than so many times the smallest is not seen to be.
MOST_TURNS = 120


class Cycle(eqx.Module):
    r"""A closed orbit of a flow.

    `period` is the smallest, `ts` and `xs` one turn in equal times, the first state again at the end. `exponents` are the
    Floquet exponents without the one that belongs to the direction of the flow, largest first, and `multipliers` theirs;
    `errors` are how much of each multiplier may be wrong, relative to itself. `trivial` is by how much the one set aside
    differs from one, which shows what the integration is worth. `isolated` is false for one of a continuum of closed orbits, as
    around a centre. `divergence` is the integral of :math:`{\rm tr}\,Dv` over a turn, jumps at switches included: the
    logarithm of the product of all multipliers. `gap` is how far the orbit is from closing.
    """

    period: Float[Array, "*b"]
    ts: Float[Array, "*b t"]
    xs: PyTree
    exponents: Complex[Array, "*b m"]
    errors: Float[Array, "*b m"]
    trivial: Float[Array, "*b"]
    divergence: Float[Array, "*b"]
    isolated: Bool[Array, "*b"]
    gap: Float[Array, "*b"]
    result: RESULTS
    stats: dict[str, Any]

    @property
    def state(self) -> PyTree:
        """A state on the orbit."""
        return jax.tree.map(lambda leaf: leaf[..., 0, *[slice(None)] * (leaf.ndim - self.ts.ndim)], self.xs)

    @property
    @eqx.filter_jit
    def multipliers(self) -> Complex[Array, "*b m"]:
        r"""The Floquet multipliers :math:`e^{\rho T}` of the exponents :math:`\rho`."""
        values = jnp.exp(self.exponents * self.period[..., None])
        # Eigenvalues that are real leave this much of an imaginary part, 2e-12 in double precision.
        real = jnp.abs(values.imag) <= jnp.finfo(values.dtype).eps ** 0.75 * jnp.abs(values)
        return jnp.where(real, values.real.astype(values.dtype), values)

    @property
    def digits(self) -> Float[Array, "*b m"]:
        """How many digits of each multiplier hold; zero for one that is nothing but noise."""
        return jnp.clip(-jnp.log10(self.errors), 0.0, 16.0)

    @property
    def growth(self) -> Float[Array, "*b"]:
        """The largest real part of an exponent."""
        return jnp.max(self.exponents.real, axis=-1)

    @property
    def verdict(self) -> str:
        """`stable`, `unstable`, `neutral` for one of a family that nothing else destabilises, `undecided`, or `failed`."""
        if bool(self.result != RESULTS.successful):
            return "failed"
        size, error = np.abs(np.asarray(self.multipliers)), np.asarray(self.errors)
        if not self.isolated:
            # The multiplier that belongs to the family is one.
            size, error = (np.delete(each, np.argmin(np.abs(np.log(size)))) for each in (size, error))
        if np.any(size * (1 - error) > 1):
            return "unstable"
        if not self.isolated:
            return "neutral"
        return "stable" if np.all(size * (1 + error) < 1) else "undecided"

    def __str__(self) -> str:
        pairs = zip(np.asarray(self.multipliers), np.asarray(self.errors), strict=True)
        real = [(value if value.imag else value.real, error * abs(value)) for value, error in list(pairs)[:6]]
        shown = ", ".join(f"{value:.10g} (error {error:.1g})" for value, error in real)
        kind = "isolated" if self.isolated else "one of a family"
        return (
            f"period       {float(self.period):.13g}\n"
            f"multipliers  {shown}\n"
            f"verdict      {self.verdict}, {kind}\n"
            f"trivial one  1 to within {float(self.trivial):.1g}\n"
            f"closes to    {float(self.gap):.1g}"
        )


def _along(field: Flat, solver: Solver, y: Array, period: Scalar, segments: int) -> Float[Array, "s n"]:
    """States after equal parts of a time."""

    def on(state: Array, _: None) -> tuple[Array, Array]:
        return _march.flow_map(field, state, period / segments, solver, 10_000), state

    return y[None] if segments == 1 else jax.lax.scan(on, y, length=segments)[1]


def _diameter(starts: Float[Array, "l n"]) -> Scalar:
    return jnp.max(jnp.linalg.norm(starts - starts[:1], axis=1))


def _shorter(field: Flat, solver: Solver, shot: Shot) -> Array:
    """How often the orbit goes round in what was found as its period."""
    starts, times = _flat(shot)[0], jnp.arange(2, MOST_TURNS + 1)
    beside = states_at(field, solver, starts, 1 / times.astype(starts.dtype), shot.period)
    # Farther apart than the errors of a turn that grow with displacements, far nearer than the turns of one cycle.
    same = jnp.linalg.norm(beside - starts[:1], axis=1) <= solver.rtol**0.5 * _diameter(starts)
    return jnp.max(jnp.where(same, times, 1))


def _flat(shot: Shot) -> tuple[Array, Array, Scalar]:
    """The pieces of all segments one after the other: states, matrices, and the integral of the divergence."""
    n = shot.nodes.shape[1]
    return shot.pieces.starts.reshape(-1, n), shot.pieces.matrices.reshape(-1, n, n), jnp.sum(shot.pieces.logs)


def _close(
    field: Flat, solver: Solver, guess: Guess, section: Section, segments: int, root_finder: Any, max_steps: int
) -> Shot:
    """The closed orbit: from the guess, and once more with a shorter period if it goes round more than once, in one program."""
    nodes = _along(field, solver, guess.y, guess.period, segments)
    parts = jnp.arange(segments, dtype=nodes.dtype) / segments

    def run(start: Array, period: Scalar) -> Shot:
        return shoot(field, solver, start, period, section, root_finder, max_steps)

    def next_round(best: Shot, turn: Array) -> tuple[Shot, None]:
        times = _shorter(field, solver, best)
        # A single segment starts where it did; following the orbit there would only be compiled.
        inner = best.nodes if segments == 1 else states_at(field, solver, _flat(best)[0], parts / times, best.period)
        needed = jnp.stack([guess.found, best.found & (times > 1)])[turn]
        start, period = jnp.stack([nodes, inner])[turn], jnp.stack([guess.period, best.period / times])[turn]
        shot = jax.lax.cond(needed, run, lambda *_: best, start, period)
        return jax.tree.map(lambda new, old: jnp.where((turn == 1) & ~shot.found, old, new), shot, best), None

    shape = jax.eval_shape(run, nodes, guess.period)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return jax.lax.scan(next_round, nothing, jnp.arange(2))[0]


@eqx.filter_jit
def _start(flow: AbstractFlow, x: PyTree, section: Section | None, period: Scalar, solver: Solver) -> Guess:
    y, unravel = _tree.ravel(x)
    return closest_return(Flat(flow, unravel), solver, y, section, period)


@eqx.filter_jit
def _cycle(
    flow: AbstractFlow,
    x: PyTree,
    guess: Guess,
    section: Section | None,
    solver: Solver,
    segments: int,
    root_finder: Any,
    max_steps: int,
) -> tuple[Cycle, PyTree, Bool[Array, ""]]:
    """The cycle, a state beside it, and whether the equations are singular there, so that the orbit may be one of a family."""
    field = Flat(flow, _tree.ravel(x)[1])
    surface = across(field, guess.y) if section is None else section
    shot = _close(field, solver, guess, surface, segments, root_finder, max_steps)
    starts, matrices, divergence = _flat(shot)
    velocity = field(shot.nodes[0])
    normal, matrix = jax.grad(on_vectors(surface, field))(shot.nodes[0]), product(matrices)
    flatness, aside = neutral_direction(matrix, velocity, normal)
    # A hundred times above the errors of a turn in double precision: whether it is a family, the neighbour decides.
    singular = flatness <= solver.rtol ** (2 / 3)
    # Newton's next step would have been so long, relative to the radius; of a family any orbit is one.
    off = jnp.where(singular, 0.0, shot.gap / (flatness * (1 + jnp.linalg.norm(matrix)) * _diameter(starts) / 2))
    logs, errors, trivial = floquet(matrices, divergence, velocity, jnp.maximum(10 * solver.rtol, off))
    # So far aside that what a neighbour fails to close by, of second order in this if it is no family, exceeds `same_to`.
    beside = field.unravel(shot.nodes[0] + solver.rtol**0.25 * _diameter(starts) * aside)
    # An orbit so small, 6e-8 in double precision, closes to some digits wherever it is: the field is all but zero there.
    small = _diameter(starts) <= solver.rtol**0.6 * (1 + jnp.linalg.norm(starts[0]))
    result = worst(
        (~(guess.period > 0) & guess.found, RESULTS.no_period),
        (~guess.found & (guess.code == _march.STEPS), RESULTS.no_return),
        (~guess.found, _march.outcome(guess.code)),
        (shot.found & (small | solver.rests(field, shot.nodes[0])), RESULTS.at_rest),
        (~shot.found, RESULTS.no_cycle),
    )
    failed = result != RESULTS.successful

    def shown(v: Array) -> Array:
        return jnp.where(failed, jnp.nan, v)

    states = jnp.concatenate([starts, starts[:1]])
    ts = shot.period * jnp.linspace(0.0, 1.0, states.shape[0], dtype=states.dtype)
    stats = {"newton": shot.steps, "steps": jnp.sum(shot.pieces.steps)}
    exponents, xs = shown(logs / shot.period), jax.vmap(field.unravel)(shown(states))
    errors, trivial, divergence = shown(errors), shown(trivial), shown(divergence)
    alone = jnp.ones((), bool)
    found = Cycle(
        shown(shot.period), shown(ts), xs, exponents, errors, trivial, divergence, alone, shown(shot.gap), result, stats
    )
    return found, beside, ~failed & singular


def cycle(
    flow: AbstractFlow,
    guess: PyTree,
    period: ScalarLike | None = None,
    section: Section | None = None,
    segments: int = 1,
    *,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    root_finder: Any = None,
    max_steps: int = 64,
    throw: bool = True,
) -> Cycle:
    r"""A closed orbit near a guess, stable or not, by shooting.

    Newton's method on :math:`\varphi_{T/s}(x_i) = x_{i+1}` for the nodes of s segments and the period, with the first node on a
    section; the derivatives come from the variational equation along the orbit, saltation at switches included. The guess may
    be rough, or any state of a trajectory: the orbit is followed through it, and shooting starts where it comes back closest to
    itself. Around a centre the result is the closed orbit through the guess, and `isolated` is false: the equations are
    singular there, and an orbit beside it closes as well.

    Args:
        flow: The flow or game.
        guess: A state on the cycle, near it, or attracted by it.
        period: The period, roughly; a multiple of the smallest up to the 120th will do. Read off the orbit's returns if left
            out, of which 24 are looked for in 20,000 steps of the solver, however long they take.
        section: A `Section` on which the first state is to lie; the plane across the flow if left out.
        segments: 1 for single shooting; more where displacements grow so much within a period that one cannot steer.
        solver: A diffrax Runge–Kutta method; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step, and the absolute one; 1e-12 in double, 1e-5 in single precision.
        root_finder: An optimistix root finder or least-squares solver; Powell's dogleg if left out.
        max_steps: Steps of it after which to give up.
        throw: Raise if no cycle is found.

    Returns:
        A `Cycle` with `.period`, `.xs`, `.multipliers` and `.verdict`.

    Raises:
        ValueError: A map in place of a flow, a state of the wrong structure, or fewer than two coordinates.
        RuntimeError: The guess is an equilibrium, the period is not positive, the orbit does not meet the section again, runs
            away, or no closed orbit is near (with `throw`; otherwise see `.result`).
    """
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"cycle takes a flow; {type(flow).__name__} is none. For a map's periodic orbits use `periodic`.")
    flow, x = prepare(flow, guess)
    if _tree.size(x) < 2 or segments < 1:
        raise ValueError(f"A cycle needs two coordinates and a segment; got {_tree.size(x)} and segments={segments}.")
    chosen = None if section is None else prepare_section(flow, x, section)
    dtype = _tree.ravel(x)[0].dtype
    wanted = jnp.asarray(jnp.nan if period is None else period, dtype)
    settings = _march.settings(x, solver, rtol, rtol)
    start = _start(flow, x, chosen, wanted, settings)
    found, beside, singular = _cycle(flow, x, start, chosen, settings, segments, root_finder or finder(settings), max_steps)
    if not _tree.concrete(singular) or singular:
        # A zero of the linearised equations alone shows nothing: a neighbour that closes by itself does.
        gap = _start(flow, beside, chosen, found.period, settings).gap
        found = eqx.tree_at(lambda c: c.isolated, found, ~(singular & (gap <= same_to(settings))))
    check(found.result, throw, "cycle: ")
    return found
