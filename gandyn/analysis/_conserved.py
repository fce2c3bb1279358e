"""Conserved quantities: a function along an orbit, and by how much it drifts."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .._evolve import iterate, prepare
from .._integrate import integrate
from .._results import RESULTS
from .._system import AbstractMap, AbstractSystem

_PARTS = 32


class Conserved(eqx.Module):
    """A function along an orbit: `values` at `ts`.

    `drift` is the largest deviation from the first value, relative to it (absolute where it is zero). `trend` is the slope of
    the relative deviation, per unit time or per application, and `error` its standard error by a line through the means of 32
    parts of the orbit: an oscillating deviation has no trend, a dissipated quantity has one.
    """

    ts: Float[Array, " t"]
    values: Float[Array, " t"]
    drift: Scalar
    trend: Scalar
    error: Scalar
    result: RESULTS

    def __str__(self) -> str:
        return (
            f"value        {float(self.values[0]):.15g}\n"
            f"drift        {float(self.drift):.3g} over {float(self.ts[-1]):g}\n"
            f"trend        {float(self.trend):.3g} ± {float(self.error):.1g}"
        )


def conserved(
    system: AbstractSystem,
    x: PyTree,
    function: Callable[[PyTree], Scalar],
    *,
    span: float = 1000.0,
    samples: int = 1024,
    rtol: float | None = None,
    throw: bool = True,
) -> Conserved:
    """How well a function is conserved along an orbit.

    Args:
        system: A flow or a map.
        x: Its state at the beginning.
        function: A real function of the state, such as an energy; defined once, not anew in each call.
        span: The time, or the number of applications, to follow the orbit for.
        samples: At how many later times to evaluate the function; of a map at most at every state.
        rtol: Tolerance of the integration; see `integrate`.
        throw: Raise if the orbit becomes non-finite.

    Returns:
        A `Conserved` with `.drift`, `.trend` and its `.error`.

    Raises:
        ValueError: A span that is not positive, fewer than 64 samples, or a state of the wrong structure.
        RuntimeError: The orbit left the finite numbers (with `throw`).
    """
    if not span > 0 or samples < 2 * _PARTS:
        raise ValueError(f"conserved: the span must be positive and samples at least {2 * _PARTS}; got {span} and {samples}.")
    system, x = prepare(system, x)
    if isinstance(system, AbstractMap):
        every = max(1, round(span / samples))
        path = iterate(system, x, max(2 * _PARTS, round(span / every)) * every, every=every, throw=throw)
    else:
        path = integrate(system, x, np.linspace(0.0, span, samples + 1), rtol=rtol, throw=throw)  # pyright: ignore[reportArgumentType]
    values = eqx.filter_jit(jax.vmap(function))(path.xs)
    data = np.asarray(values, float)
    scale = abs(data[0]) or 1.0
    deviation = (data - data[0]) / scale
    used = deviation.size // _PARTS * _PARTS
    means, times = (np.asarray(v, float)[-used:].reshape(_PARTS, -1).mean(axis=1) for v in (deviation, path.ts))
    # The variance of the slope, from what the line leaves of the means.
    centred = times - times.mean()
    slope = centred @ means / (centred @ centred)
    rest = means - means.mean() - slope * centred
    error = np.sqrt(rest @ rest / (_PARTS - 2) / (centred @ centred))
    drift, trend, error = (jnp.asarray(number, values.dtype) for number in (np.max(np.abs(deviation)), slope, error))
    return Conserved(path.ts, values, drift, trend, error, path.result)
