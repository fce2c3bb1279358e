"""Lyapunov exponents: how fast nearby orbits of a flow or a map separate, on average."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, ScalarLike

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractMap, AbstractSystem

_BATCHES = 32
_SEPARATION = 1e-6


class Lyapunov(eqx.Module):
    r"""Lyapunov exponents, largest first: per unit time of a flow, per application of a map.

    `errors` are standard errors by batch means: the run is cut into 32 parts, and the scatter of their means tells how far the
    mean of all is from its limit. `divergence` is the mean along the same orbit of :math:`{\rm tr}\,Dv` (of
    :math:`\log|\det DF|` for a map), which is what all exponents add up to; NaN where they were not all asked for, or where
    the field has switches. `span` is the time, or the number of applications, that the averages are over.
    """

    values: Float[Array, "*b k"]
    errors: Float[Array, "*b k"]
    divergence: Float[Array, "*b"]
    span: Float[Array, "*b"]
    result: RESULTS

    @property
    def sum(self) -> Float[Array, "*b"]:
        """The sum of the exponents that were asked for: the growth of volumes of that dimension."""
        return jnp.sum(self.values, axis=-1)

    @property
    def dimension(self) -> Float[Array, "*b"]:
        r"""The Kaplan–Yorke dimension :math:`j + \sum_{i\le j}\lambda_i/|\lambda_{j+1}|`, j the last with a sum not below 0.

        NaN where the exponents asked for do not reach it.
        """
        partial = jnp.cumsum(self.values, axis=-1)
        count = jnp.sum(jnp.cumprod(partial >= 0, axis=-1), axis=-1)
        padded = jnp.concatenate([jnp.zeros_like(partial[..., :1]), partial], axis=-1)
        next_one = jnp.concatenate([self.values, jnp.full_like(self.values[..., :1], jnp.nan)], axis=-1)
        reached, following = (jnp.take_along_axis(v, count[..., None], axis=-1)[..., 0] for v in (padded, next_one))
        return count + reached / jnp.abs(following)

    def __str__(self) -> str:
        pairs = zip(np.asarray(self.values).reshape(-1), np.asarray(self.errors).reshape(-1), strict=True)
        shown = ", ".join(f"{value:.6g} ± {error:.1g}" for value, error in list(pairs)[:8])
        total = f"{float(self.sum):.8g}; mean divergence {float(self.divergence):.8g}"
        return f"exponents    {shown}\nsum          {total}\nover         {float(self.span):g}"


def _velocity(t: ScalarLike, y: tuple, args: tuple[AbstractSystem, Callable, Callable]) -> tuple[Array, Array, Array]:
    """The velocity of a point and of vectors carried along, in columns, and the divergence if there are vectors enough."""
    flow, unravel, carried = args
    return carried(lambda v: _tree.ravel(flow(unravel(v)))[0], y)


def _linear(field: Callable, y: tuple) -> tuple[Array, Array, Array]:
    """The variational equation; the whole Jacobian where every exponent is asked for, for the sake of its trace."""
    vector, q, _ = y
    velocity, push = jax.linearize(field, vector)
    if q.shape[1] < vector.size:
        return velocity, jax.vmap(push, 1, 1)(q), jnp.zeros((), vector.dtype)
    matrix = jax.vmap(push, 1, 1)(jnp.eye(vector.size, dtype=vector.dtype))
    return velocity, matrix @ q, jnp.trace(matrix)


def _beside(field: Callable, y: tuple) -> tuple[Array, Array, Array]:
    """Orbits at a small distance in place of vectors: a vector jumps where the field does, and an orbit knows by how much."""
    vector, others, _ = y
    return field(vector), jax.vmap(field, 1, 1)(others), jnp.zeros((), vector.dtype)


def advance(
    flow: AbstractSystem, x: PyTree, q: Array, interval: Array, solver: diffrax.AbstractSolver, tolerance: float
) -> tuple[PyTree, Array, Array]:
    """Carry a state and vectors along a flow for a while: both afterwards, and the integral of the divergence."""
    vector, unravel = _tree.ravel(x)
    smooth = jax.eval_shape(flow.switches, x).size == 0
    scale = _SEPARATION * (1 + jnp.linalg.norm(vector))
    start = q if smooth else vector[:, None] + scale * q
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_velocity),
        solver,
        jnp.zeros_like(interval),
        interval,
        interval / 16,
        (vector, start, jnp.zeros((), vector.dtype)),
        (flow, unravel, _linear if smooth else _beside),
        stepsize_controller=diffrax.PIDController(tolerance, tolerance),
        adjoint=diffrax.ForwardMode(),
        max_steps=10_000,
        throw=False,
    )
    end, carried, trace = jax.tree.map(lambda leaf: leaf[0], solution.ys)
    end = jnp.where(solution.result == diffrax.RESULTS.successful, end, jnp.nan)
    return unravel(end), carried if smooth else (carried - end[:, None]) / scale, trace


def _apply(system: AbstractMap, x: PyTree, q: Array) -> tuple[PyTree, Array, Array]:
    """One application of a map to a state and to vectors at it, and the logarithm of its determinant."""
    vector, unravel = _tree.ravel(x)
    _, push = jax.linearize(lambda v: _tree.ravel(system(unravel(v)))[0], vector)
    if q.shape[1] < vector.size:
        return system(x), jax.vmap(push, 1, 1)(q), jnp.zeros((), vector.dtype)
    matrix = jax.vmap(push, 1, 1)(jnp.eye(vector.size, dtype=vector.dtype))
    return system(x), matrix @ q, jnp.linalg.slogdet(matrix)[1]


def orthonormal(vectors: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, " k"]]:
    """The columns made orthonormal in turn, and what was left of the length of each.

    By Gram and Schmidt where they are few, which costs a tenth of a factorisation by LAPACK.
    """
    if vectors.shape[1] > 3:
        q, r = jnp.linalg.qr(vectors)
        return q, jnp.abs(jnp.diagonal(r))
    columns, sizes = [], []
    for vector in vectors.T:
        for other in columns:
            vector = vector - (other @ vector) * other
        sizes.append(jnp.linalg.norm(vector))
        columns.append(vector / jnp.where(sizes[-1] > 0, sizes[-1], 1.0))
    return jnp.stack(columns, axis=1), jnp.stack(sizes)


@eqx.filter_jit
def spectrum(
    system: AbstractSystem,
    x: PyTree,
    q: Array,
    interval: Array,
    transient: int,
    blocks: int,
    solver: diffrax.AbstractSolver,
    tolerance: float,
) -> Lyapunov:
    """The exponents along one orbit; `interval` is a number of applications where the system is a map."""

    def block(carry: tuple[PyTree, Array], _: None) -> tuple[tuple[PyTree, Array], tuple[Array, Array]]:
        y, vectors = carry
        if isinstance(system, AbstractMap):
            y, vectors, trace = _apply(system, y, vectors)
        else:
            y, vectors, trace = advance(system, y, vectors, interval, solver, tolerance)
        vectors, sizes = orthonormal(vectors)
        return (y, vectors), (jnp.log(sizes), trace)

    (end, _), (logs, traces) = jax.lax.scan(block, (x, q), length=transient + blocks)
    logs, traces = logs[transient:], traces[transient:]
    means = jnp.mean(logs.reshape(_BATCHES, blocks // _BATCHES, -1), axis=1) / interval
    values = jnp.mean(means, axis=0)
    errors = jnp.where(jnp.isneginf(values), 0.0, jnp.std(means, axis=0, ddof=1) / _BATCHES**0.5)
    smooth = isinstance(system, AbstractMap) or jax.eval_shape(system.switches, x).size == 0
    known = q.shape[1] == q.shape[0] and smooth
    divergence = jnp.mean(traces) / interval if known else jnp.asarray(jnp.nan, q.dtype)
    broken = ~_tree.finite(end) | jnp.any(jnp.isnan(values))
    result = worst((broken, first(system.failure(end), RESULTS.nonfinite)))
    values, errors, divergence = (jnp.where(broken, jnp.nan, v) for v in (values, errors, divergence))
    return Lyapunov(values, errors, divergence, jnp.asarray(blocks * interval, q.dtype), result)


def frame(x: PyTree, count: int) -> Array:
    """Orthonormal vectors in general position, in columns."""
    kind = _tree.ravel(x)[0].dtype
    n = _tree.size(x)
    return jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0][:, :count], kind)


def lyapunov(
    system: AbstractSystem,
    x: PyTree,
    count: int | None = None,
    *,
    span: float | None = None,
    transient: float | None = None,
    interval: float = 1.0,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    throw: bool = True,
) -> Lyapunov:
    r"""Lyapunov exponents along an orbit, with their errors.

    Vectors are carried along by the derivative of the flow or map and made orthonormal again after every `interval`, by QR;
    the exponents are the mean logarithms of the diagonal of R (Benettin, Galgani, Giorgilli and Strelcyn, 1980). Where the
    field has switches, orbits at a distance of 1e-6 take the place of the vectors, because a derivative does not see the jumps;
    the exponents then err by about as much.

    Args:
        system: A flow or a map.
        x: Its state at the beginning; for a map with memory `system.init(point)`.
        count: How many exponents, the largest first; all if left out.
        span: The time, or the number of applications, to average over; 1000 for flows and 100 000 for maps if left out.
        transient: What to leave out before, for the orbit to come to its attractor and the vectors to turn into their
            directions; a tenth of the span if left out.
        interval: The time between two orthonormalisations of a flow, so short that the vectors do not become parallel.
        solver: A diffrax solver; `diffrax.Dopri8()` if left out.
        rtol: Relative and absolute tolerance per step; 1e-10 in double, 1e-5 in single precision.
        throw: Raise if the orbit becomes non-finite.

    Returns:
        A `Lyapunov` with `.values`, `.errors`, `.sum` and the mean `.divergence` to compare it with.

    Raises:
        ValueError: A number of exponents that the state does not have, a span or interval that is not positive, or a state of
            the wrong structure.
        RuntimeError: The orbit left the finite numbers (with `throw`).
    """
    system, x = prepare(system, x)
    n = _tree.size(x)
    count = n if count is None else count
    if not 1 <= count <= n:
        raise ValueError(f"lyapunov: the state has {n} coordinates and as many exponents; got count={count}.")
    discrete = isinstance(system, AbstractMap)
    span = (100_000.0 if discrete else 1000.0) if span is None else span
    transient = span / 10 if transient is None else transient
    length = 1.0 if discrete else interval
    if not (span > 0 and transient >= 0 and length > 0):
        raise ValueError(f"lyapunov: span={span}, transient={transient} and interval={interval} must be positive.")
    blocks = _BATCHES * max(1, round(span / length / _BATCHES))
    single = _tree.eps(x) > 1e-10
    smooth = discrete or jax.eval_shape(system.switches, x).size == 0
    default = 1e-5 if single else 1e-10 if smooth else 1e-12
    vectors = frame(x, count)
    found = spectrum(
        system,
        x,
        vectors,
        jnp.asarray(length, vectors.dtype),
        round(transient / length),
        blocks,
        solver or diffrax.Dopri8(),
        default if rtol is None else rtol,
    )
    check(found.result, throw, "lyapunov: ")
    return found
