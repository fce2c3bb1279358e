"""Invariant circles of maps: their size, how fast orbits turn on them, and whether they attract."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractMap
from ._equilibrium import equilibrium
from ._lyapunov import frame, orthonormal

ATTRACTING, NEUTRAL, REPELLING, UNDECIDED = "attracting", "neutral", "repelling", "undecided"


class Circle(eqx.Module):
    r"""An invariant circle of a map, on which an orbit turns without closing.

    `radius` is the root of the mean square distance of the orbit's points to `centre`; `rotation` the rotation number, the mean
    part of a turn per application, between 0 and 1/2; `transverse` the Lyapunov exponent across the circle, negative if it
    attracts. All three are weighted Birkhoff averages, whose errors, by how much they differ from those over the second half
    of the orbit, are `errors` in this order. `extent` holds the smallest and the largest distance.
    """

    centre: PyTree
    radius: Scalar
    rotation: Scalar
    transverse: Scalar
    errors: Float[Array, "3"]
    extent: Float[Array, "2"]
    result: RESULTS

    @property
    def verdict(self) -> str:
        """`attracting`, `repelling`, `neutral` (one of a family, such as the ellipses of a centre), `undecided` or `failed`."""
        if bool(self.result != RESULTS.successful):
            return "failed"
        value, error = float(self.transverse), float(self.errors[2])
        if not np.isfinite(value + error):
            return UNDECIDED
        # Four errors and rounding: the exponent may be zero, and is where the averages have converged to some digits.
        if abs(value) <= 4 * error + 1e-12:
            return NEUTRAL if abs(value) <= 1e-3 else UNDECIDED
        return ATTRACTING if value < 0 else REPELLING

    def __str__(self) -> str:
        near, far = (float(value) for value in self.extent)
        errors = [float(error) for error in self.errors]
        return (
            f"radius       {float(self.radius):.10g} ± {errors[0]:.1g}, from {near:.6g} to {far:.6g}\n"
            f"rotation     {float(self.rotation):.10g} ± {errors[1]:.1g} turns per application\n"
            f"transverse   {float(self.transverse):.10g} ± {errors[2]:.1g}: {self.verdict}\n"
            f"centre       {_tree.numbers(self.centre)}"
        )


def birkhoff(values: Float[Array, "t *k"]) -> tuple[Array, Array]:
    r"""The weighted Birkhoff average along the leading axis, and its error.

    With the weight :math:`\exp(-1/(t(1-t)))` the average over a quasi-periodic orbit converges faster than any power of its
    length (Das, Saiki, Sander and Yorke, 2017); over a chaotic one it converges no faster than the plain mean. The error is
    the difference to the average over the second half, and rounding.
    """

    def average(part: Array) -> Array:
        t = (jnp.arange(part.shape[0]) + 1.0).astype(part.dtype) / (part.shape[0] + 1)
        weight = jnp.exp(-1 / (t * (1 - t)))
        return jnp.tensordot(weight / jnp.sum(weight), part, axes=1)

    whole, rounding = average(values), jnp.finfo(values.dtype).eps * average(jnp.abs(values))
    return whole, jnp.abs(whole - average(values[values.shape[0] // 2 :])) + rounding


def turns(plane: Float[Array, "t 2"]) -> Float[Array, " s"]:
    """The parts of a turn around zero between successive points, on the branch of the angle that their mean direction takes."""
    z = plane[:, 0] + 1j * plane[:, 1]
    steps = z[1:] * jnp.conj(z[:-1])
    steps = steps / jnp.maximum(jnp.abs(steps), jnp.finfo(plane.dtype).tiny)
    mean = jnp.mean(steps)
    middle = jnp.angle(mean)
    return (middle + jnp.angle(steps * jnp.exp(-1j * middle))) / (2 * jnp.pi)


@eqx.filter_jit
def _orbit(system: AbstractMap, x: PyTree, q: Array, transient: int, steps: int) -> tuple[PyTree, Array, Array, RESULTS]:
    """The state at the end, the points along the orbit, how much vectors are stretched, and whether all is finite."""

    def step(carry: tuple[PyTree, Array], _: None) -> tuple[tuple[PyTree, Array], tuple[Array, Array]]:
        y, vectors = carry
        vector, unravel = _tree.ravel(y)
        push = jax.linearize(lambda v: _tree.ravel(system(unravel(v)))[0], vector)[1]
        vectors, sizes = orthonormal(jax.vmap(push, 1, 1)(vectors))
        place = _tree.ravel(system.point(y))[0]
        return (system(y), vectors), (place, jnp.log(sizes))

    start = (x, q)
    if transient:  # A loop without a round would be traced all the same.
        start = jax.lax.scan(lambda carry, _: (step(carry, None)[0], None), start, length=transient)[0]
    (end, _), (places, logs) = jax.lax.scan(step, start, length=steps)
    return end, places, logs, worst((~jnp.all(jnp.isfinite(places)), first(system.failure(end), RESULTS.nonfinite)))


@eqx.filter_jit
def _measure(places: Array, logs: Array, centre: Array) -> tuple[Array, Array, Array]:
    """Radius, rotation number and transverse exponent; their errors; the extent."""
    apart = places - centre[None]
    squares = jnp.sum(apart**2, axis=1)
    # The plane of the largest spread, in which the circle is seen from its widest side.
    plane = jnp.linalg.svd(apart - jnp.mean(apart, axis=0)[None], full_matrices=False)[2][:2]
    square, square_error = birkhoff(squares)
    rotation, rotation_error = birkhoff(turns(apart @ plane.T))
    # The exponent along the circle vanishes, so that across it is that of areas. Those settle at once, whereas vectors are
    # sheared along the circle: of a family of circles the two exponents would tend to zero like one over the time only.
    exponent, exponent_error = birkhoff(jnp.sum(logs, axis=1))
    values = jnp.stack([jnp.sqrt(square), jnp.abs(rotation), exponent])
    # Where areas are kept the logarithms cancel, and what is left is the rounding of each application.
    exponent_error = exponent_error + jnp.finfo(places.dtype).eps
    errors = jnp.stack([square_error / (2 * jnp.sqrt(square)), rotation_error, exponent_error])
    return values, errors, jnp.sqrt(jnp.stack([jnp.min(squares), jnp.max(squares)]))


def invariant_circle(
    system: AbstractMap,
    x: PyTree,
    *,
    centre: PyTree | None = None,
    steps: int = 20_000,
    transient: int = 20_000,
    throw: bool = True,
) -> Circle:
    """The invariant circle on which an orbit of a map ends, as beyond a Neimark–Sacker bifurcation.

    Args:
        system: The map, of two coordinates or more.
        x: Its state at the beginning; for a map with memory `system.init(point)`.
        centre: The point from which distances and angles are measured; the fixed point nearest to the orbit's mean if left
            out.
        steps: How many applications to average over.
        transient: How many before, for the orbit to come to the circle.
        throw: Raise if the orbit is not on a circle then.

    Returns:
        A `Circle` with `.radius`, `.rotation`, `.transverse`, `.verdict` and `.errors`.

    Raises:
        ValueError: A flow, a state of one coordinate, fewer than a hundred steps, or a state of the wrong structure.
        RuntimeError: The orbit left the finite numbers, or its averages do not converge: it is at rest, still on its way, or
            chaotic (with `throw`).
    """
    if not isinstance(system, AbstractMap):
        raise ValueError(f"invariant_circle takes a map; {type(system).__name__} is none.")
    system, x = prepare(system, x)
    if _tree.size(system.point(x)) < 2 or steps < 100 or transient < 0:
        raise ValueError(
            f"invariant_circle: a circle needs two coordinates and averages need steps; the point has "
            f"{_tree.size(system.point(x))}, and there are {steps} steps after {transient}."
        )
    end, places, logs, finite = _orbit(system, x, frame(x, 2), transient, steps)
    if centre is None:
        vector, unravel = _tree.ravel(system.point(end))
        mean = unravel(jnp.mean(places, axis=0))
        mean = mean if _tree.concrete(mean) and bool(_tree.finite(mean)) else unravel(vector)
        rest = equilibrium(system, system.init(mean), throw=False) if bool(_tree.finite(mean)) else None
        inside = rest is not None and rest.result == RESULTS.successful
        centre = system.point(rest.state) if rest is not None and inside else mean
    centre = _tree.state_arrays(centre)
    values, errors, extent = _measure(places, logs, _tree.ravel(centre)[0])
    eps = _tree.eps(x)
    result = worst(
        (finite != RESULTS.successful, finite),
        # A circle keeps away from its centre by more than an orbit that spirals in; averages that have not settled to these
        # digits, which those of a circle pass by far, are not of one.
        (~(extent[0] > eps**0.5 * extent[1]), RESULTS.no_circle),
        (~((errors[1] <= 1e-5) & (errors[0] <= 1e-3 * values[0])), RESULTS.no_circle),
    )
    check(result, throw, "invariant_circle: ")
    return Circle(centre, values[0], values[1], values[2], errors, extent, result)
