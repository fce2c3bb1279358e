"""Stability of equilibria of flows and fixed points of maps, with a verdict that knows its own error."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, message, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._equilibrium import Manifold
from ._krylov import Arnoldi
from ._leading import leading
from ._linear import Dense, across, damped_solve, eigenvalues, jacobian, smallest_singular_value
from ._memory import idle, names, restless, restless_leaves, settled, stationary_tolerance, without
from ._pseudospectrum import perturbed_growth
from ._verdict import Stability


def _steps(a: Array, r: Array, reach: Array, eps: float, tangent: Array | None) -> tuple[Array, Array, Array]:
    """Newton's step to a root beside, in two parts: along strong directions and along weak ones.

    In a weak direction `a` is all but singular and the step may be noise: it is kept within `reach`, and the largest slope
    of such a direction comes third.
    """
    size = jnp.linalg.norm(a)
    known = jnp.where(size > 0, size, 1.0)
    a, r = a / known, r / known
    strong = damped_solve(a, r, jnp.asarray(eps, a.dtype))
    weak = damped_solve(a, r - a @ strong, jnp.asarray(eps**2, a.dtype))
    weak = weak * jnp.minimum(1.0, reach / (jnp.linalg.norm(weak) + jnp.finfo(a.dtype).tiny))
    if tangent is not None:
        strong, weak = (step - tangent @ (tangent.T @ step) for step in (strong, weak))
    slopes = smallest_singular_value(a)[None] if r.size < 3 else jnp.linalg.svd(a, compute_uv=False)
    return strong, weak, known * jnp.max(jnp.where(slopes < 10 * eps**0.5, slopes, 0.0), initial=0.0)


def _backward_error(
    system: AbstractSystem, x: PyTree, matrix: Array, aside: Array | None, tangent: Array | None
) -> tuple[Array, Array, Array]:
    """By how much the Jacobian may be wrong, the residual, and the norm of the residual's own derivative.

    The Jacobian is compared with those on the far side of the equilibrium, twice Newton's step away, and the change
    counts twice: so an equilibrium that is a root of higher order, whose Jacobian is singular, covers the singular one.
    """
    eps, fine, size = _tree.eps(x), system.precision(x), jnp.linalg.norm(matrix)
    derivative = matrix - jnp.eye(matrix.shape[0], dtype=matrix.dtype) if isinstance(system, AbstractMap) else matrix
    finer = companion(system)
    reference = system if finer is None else finer
    vector, unravel = _tree.ravel(x)
    residual = without(_tree.ravel(reference.residual(x))[0], aside)
    noise = jnp.abs(derivative) @ jnp.abs(vector) + (jnp.abs(vector) if isinstance(system, AbstractMap) else 0.0)
    residual = residual + fine * jnp.where(residual < 0, -noise, noise)
    strong, weak, slope = _steps(derivative, residual, 0.01 * (1 + jnp.linalg.norm(vector)), eps, tangent)

    def change(step: Array) -> Array:
        return jnp.linalg.norm(without(jacobian(reference, unravel(vector - 2 * step)), aside) - matrix)

    moved, turned = jax.vmap(change)(jnp.stack([strong, weak]))
    weakly = jnp.where(turned < 2 * slope, 2 * turned, 4 * slope)
    level = 4 * matrix.shape[0] * fine * size + 2 * moved + weakly + jnp.finfo(matrix.dtype).tiny
    return level, without(_tree.ravel(system.residual(x))[0], aside), jnp.linalg.norm(derivative)


def _leaves(system: AbstractSystem, matrix: Array, tangent: Array | None) -> Array:
    """Whether the residual changes along what is called the tangent space, which `manifold` knows to some four digits."""
    if tangent is None:
        return jnp.asarray(False)
    still = jnp.eye(matrix.shape[0], dtype=matrix.dtype) if isinstance(system, AbstractMap) else 0.0
    return jnp.linalg.norm((matrix - still) @ tangent) > jnp.finfo(matrix.dtype).eps ** 0.25 * jnp.linalg.norm(matrix)


@eqx.filter_jit
def _stability(system: AbstractSystem, x: PyTree, tangent: Array | None, still: bool = True) -> Stability:
    """`stability` in compiled code; what is set aside need not be `still` where it is no manifold of equilibria."""
    x = settled(system, x)
    inner, image = system.spectrum_of()
    matrix = jacobian(inner, x)
    aside = idle(inner, x, matrix, tangent)
    matrix = without(matrix, aside)
    eps, tiny = _tree.eps(x), jnp.finfo(matrix.dtype).tiny
    level, residual, slope = _backward_error(inner, x, matrix, aside, tangent)
    distance, tolerance = jnp.linalg.norm(residual), stationary_tolerance(x, slope)
    broken = ~(jnp.isfinite(distance) & jnp.all(jnp.isfinite(matrix)))
    reason = first(system.failure(x), RESULTS.nonfinite)
    result = worst(
        (broken, reason),
        (jnp.any(jnp.abs(system.switches(x)) <= eps**0.5), RESULTS.switching),
        (jnp.any(restless(inner, x, matrix, aside, tolerance)), RESULTS.unsettled),
        (distance > tolerance, RESULTS.not_stationary),
        (_leaves(inner, matrix, tangent) & still, RESULTS.not_tangent),
        (~jnp.isfinite(level), RESULTS.nonfinite),
    )
    matrix, neutral = (matrix, 0) if tangent is None else (across(matrix, tangent), tangent.shape[1])
    size = jnp.linalg.norm(matrix)
    matrix = jnp.where(jnp.isfinite(matrix), matrix, 0.0)

    def exponent(z: Array) -> Array:
        return system.exponents(image(z))

    values = eigenvalues(matrix)
    exponents = exponent(values)
    none = jnp.zeros(values.shape, bool)
    if aside is not None:
        # Their rows and columns are zero, so that they are as many of the smallest eigenvalues; others that vanish are equal.
        none = jnp.argsort(jnp.argsort(jnp.abs(values))) < jnp.sum(aside)
        exponents = jnp.where(none, -jnp.inf, exponents)
        values = jnp.where(none, values[jnp.argmax(exponents.real)], values)
    bound, steepness = perturbed_growth(matrix, values, level, exponent)
    leading = jnp.argmax(exponents.real)
    rounding = jnp.abs(jax.grad(lambda z: system.exponents(z).real)(image(values)[leading]) * image(values)[leading])
    bound = bound + jnp.where(jnp.isfinite(rounding), 4 * inner.precision(x) * rounding, 0.0)
    scale = steepness * size + tiny / eps
    spectrum = jnp.where(none, 0.0, image(values))
    result = first(result, worst((~jnp.all(jnp.isfinite(spectrum)), reason)))
    numbers = (spectrum, exponents, bound, scale)
    spectrum, exponents, bound, scale = (jnp.where(result == RESULTS.successful, v, jnp.nan) for v in numbers)
    forgotten = system.projected() if isinstance(system, AbstractMap) else 0
    if forgotten:
        kept = jnp.sort(jnp.argsort(jnp.abs(spectrum))[forgotten:])
        spectrum, exponents = spectrum[kept], exponents[kept]
    return Stability(spectrum, exponents, bound, scale, result, neutral, jnp.sum(none), forgotten)


def tangent_of(modulo: Manifold | None, x: PyTree) -> Array | None:
    """The tangent space to set aside at a state, refused where it is one of another system or leaves nothing."""
    if modulo is None:
        return None
    if modulo.tangent.shape[0] != _tree.size(x):
        raise ValueError(
            f"The manifold lies in {modulo.tangent.shape[0]} dimensions, the state has {_tree.size(x)}; "
            "compute it from the same system."
        )
    if modulo.dimension == modulo.tangent.shape[0]:
        raise ValueError("Every direction is tangent to the manifold of equilibria: no mode is left to be stable or not.")
    return modulo.tangent


def _leading(system: AbstractSystem, x: PyTree, arnoldi: Arnoldi) -> Stability:
    """`stability` by products with the Jacobian, outside compiled code."""
    pairs, floor, bound, size, result = leading(system, x, arnoldi)
    exponents = system.exponents(pairs.values)
    return Stability(
        pairs.values, exponents, jnp.asarray(bound), jnp.asarray(size), result, pairs=pairs, floor=jnp.asarray(floor)
    )


def stability(
    system: AbstractSystem,
    x: PyTree,
    *,
    modulo: Manifold | None = None,
    spectrum: Dense | Arnoldi = Dense(),
    throw: bool = True,
) -> Stability:
    r"""Whether an equilibrium is stable: :math:`{\rm Re}\,\lambda < 0` for a flow, :math:`|\mu| < 1` for a map.

    The growth is compared with its own error, the growth of the worst matrix within the backward error of the Jacobian
    (its pseudospectral abscissa), so that a defective eigenvalue is no surprise. The verdict is `stable` or `unstable`
    where the error cannot change the sign, `marginal` where the growth is zero to within rounding, and `undecided`
    otherwise.

    Args:
        system: A flow or a map.
        x: An equilibrium of it; for a map with memory a state of the map.
        modulo: The manifold of equilibria through `x` (see `manifold`); the verdict is then that of the modes
            transverse to it.
        spectrum: `Dense()` for all eigenvalues, or `Arnoldi(count=6)` for the leading few of a large system, outside `jit`.
            Few eigenvalues can prove `unstable`; they prove `stable` only where a bound on all modes does: the numerical
            abscissa of a flow (the largest eigenvalue of :math:`(J + J^\top)/2`), the damped second-order pencil of a zero-sum
            game whose generator has no curvature, or the largest singular value of a map. That bound fails with a probability
            of at most 1e-9 over the random start. Otherwise the verdict is `undecided`, and the growth a lower bound.
        throw: Raise if there is no verdict.

    Returns:
        A `Stability` with `.eigenvalues`, `.exponents`, `.growth`, `.rotation`, `.rate`, `.error` and `.verdict`.

    Raises:
        ValueError: A state of the wrong structure or not finite, or fewer coordinates than eigenvalues asked for.
        RuntimeError: The point is no equilibrium, the Jacobian is not finite, the field has a kink there (with `throw`;
            inside `jit` and `vmap` the verdict reads `failed`), or a part of the map's memory, which is named, does not come to
            rest (the verdict reads `undecided`).
    """
    system, x = prepare(system, x)
    if isinstance(spectrum, Arnoldi):
        if modulo is not None:
            raise ValueError("A manifold is set aside in dense spectra only: leave out `modulo`, or pass spectrum=gd.Dense().")
        found = _leading(system, x, spectrum)
    else:
        found = _stability(system, x, tangent_of(modulo, x))
    if throw and _tree.concrete(found) and found.result == RESULTS.unsettled:
        raise RuntimeError(f"stability: {message(found.result)} It is {names(x, restless_leaves(system, x))}.")
    check(found.result, throw, "stability: ")
    if _tree.concrete(found) and found.idle:
        order = np.argsort(np.abs(np.asarray(found.eigenvalues)), stable=True)
        kept = np.sort(order[int(found.idle) :])
        found = eqx.tree_at(lambda s: (s.eigenvalues, s.exponents), found, (found.eigenvalues[kept], found.exponents[kept]))
    return found
