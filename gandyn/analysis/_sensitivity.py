"""How a critical value changes with the system's other leaves, by the implicit function theorem."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Complex, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._equilibrium import _equilibrium, newton
from ._linear import jacobian
from ._memory import idle, settled, without
from ._moved import Moved, move
from ._stability import _stability
from ._verdict import Stability


class _Crossing(NamedTuple):
    """What is held fixed while the growth at a critical value is differentiated.

    The equilibrium, what is no coordinate of it, the eigenvectors of the critical mode, by which factor its growth follows its
    eigenvalue, what a residual of the equilibrium adds to the growth (the adjoint), what a motion along a manifold of
    equilibria adds, and how the growth changes with the value; NaN where the growth does not cross zero with that slope.
    """

    x: PyTree
    aside: Bool[Array, " n"] | None
    right: Complex[Array, " n"]
    left: Complex[Array, " n"]
    factor: Complex[Array, ""]
    adjoint: Float[Array, " n"]
    along: Float[Array, " n"]
    slope: Scalar


def _mode_growth(system: AbstractSystem, at: Array, fixed: _Crossing) -> Array:
    """The growth of the critical mode at the coordinates of a state, exact to first order."""
    unravel = _tree.ravel(fixed.x)[1]

    def image(v: Array) -> Array:
        return _tree.ravel(system(unravel(v)))[0]

    parts = jax.vmap(lambda q: jax.jvp(image, (at,), (q,))[1])(jnp.stack([fixed.right.real, fixed.right.imag]))
    return (fixed.factor * (fixed.left.conj() @ (parts[0] + 1j * parts[1]))).real


def _growth(system: AbstractSystem, guess: PyTree, fixed: _Crossing) -> Array:
    """The growth as a function of the system, up to a constant: its derivative is right, the motion of the state included."""
    vector = _tree.ravel(fixed.x)[0]
    residual = without(_tree.ravel(system.residual(fixed.x))[0], fixed.aside)
    return _mode_growth(system, vector, fixed) - fixed.adjoint @ residual + fixed.along @ _tree.ravel(guess)[0]


@eqx.filter_jit
def _growth_at(system: AbstractSystem, moved: Moved, guess: PyTree, known: tuple[Array, _Crossing]) -> Array:
    return _growth(move(system, moved, known[0]), guess, known[1])


def _adjoint(slope: Array, gradient: Array, manifold: int, near: float, reach: Array) -> tuple[Array, Array, Array]:
    """How the growth answers to the residual, how to motions along a manifold, and whether both are known."""
    u, sizes, rows = jnp.linalg.svd(slope)
    flat = sizes <= near * jnp.maximum(sizes[0], jnp.linalg.norm(gradient) * reach)
    parts = rows @ gradient
    adjoint = u @ jnp.where(flat, 0.0, parts / jnp.where(flat, 1.0, sizes))
    loose = jnp.where(flat, parts, 0.0)
    if manifold:
        return adjoint, loose @ rows, jnp.sum(flat) == manifold
    # Where a real mode is critical the state may move along it, by what first derivatives do not tell.
    return adjoint, jnp.zeros_like(adjoint), jnp.linalg.norm(loose) <= near * jnp.linalg.norm(parts)


@eqx.filter_jit
def _crossing(
    system: AbstractSystem, moved: Moved, guess: PyTree, tangent: Array | None, solver: Any, value: Array, width: Array
) -> _Crossing:
    eps = _tree.eps(guess)

    def at(v: Array) -> tuple[PyTree, Stability]:
        there = move(system, moved, v)
        x = settled(there, _equilibrium(there, guess, solver, 256).state)
        return x, _stability(there, x, tangent)

    step = eps ** (1 / 3) * jnp.maximum(jnp.abs(value), 1e-3 * width) * jnp.asarray([-1.0, 0.0, 1.0], value.dtype)
    around = jax.vmap(at)(value + step)
    here, (x, found) = move(system, moved, value), jax.tree.map(lambda leaf: leaf[1], around)
    vector = _tree.ravel(x)[0]
    eigenvalue = found.eigenvalues[jnp.argmax(found.exponents.real)]
    matrix = jacobian(here, x)
    aside = idle(here, x, matrix, tangent)
    matrix = without(matrix, aside)
    eye = jnp.eye(vector.size, dtype=matrix.dtype)
    rows, _, columns = jnp.linalg.svd(jnp.where(jnp.isfinite(matrix), matrix, 0.0) - eigenvalue * eye)
    left, right = rows[:, -1], columns[-1].conj()
    product = left.conj() @ right
    factor = jax.grad(lambda z: here.exponents(z).real)(eigenvalue) / product
    zeros = jnp.zeros_like(vector)
    fixed = _Crossing(x, aside, right, left, factor, zeros, zeros, jnp.ones(()))
    gradient = jax.grad(lambda v: _mode_growth(here, v, fixed))(vector)
    derivative = matrix - eye if isinstance(here, AbstractMap) else matrix
    manifold = 0 if tangent is None else tangent.shape[1]
    adjoint, along, known = _adjoint(derivative, gradient, manifold, eps**0.5, 1 + jnp.linalg.norm(vector))
    fixed = fixed._replace(adjoint=adjoint, along=along)
    slope = jax.grad(lambda v: _growth(move(system, moved, v), guess, fixed))(value)
    # One mode, a simple one; and what it grows by on either side is what the slope says.
    together = jnp.abs(found.exponents.real - found.growth) <= eps**0.5 * (found.scale + jnp.abs(found.growth))
    alone = jnp.sum(together) == jnp.where(jnp.abs(eigenvalue.imag) > eps**0.5 * found.scale, 2, 1)
    simple = jnp.abs(product) > 10 * eps**0.25
    crosses = jnp.all((jnp.abs(around[1].growth - slope * step) < 0.1 * jnp.abs(slope * step))[jnp.asarray([0, 2])])
    if manifold:
        known = known & (jnp.linalg.norm(_tree.ravel(guess)[0] - vector) <= eps**0.5 * (1 + jnp.linalg.norm(vector)))
    return fixed._replace(slope=jnp.where(alone & simple & crosses & known, slope, jnp.nan))


def primal(tree: PyTree) -> PyTree:
    """The numbers of a tree that is being differentiated, on which a search can run.

    Raises:
        ValueError: They are not known yet, inside `jit` or `vmap`.
    """
    still = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if isinstance(leaf, Tracer) else leaf, tree)
    if not _tree.concrete(still):
        raise ValueError(
            "The search for a critical value runs on numbers, which `jit` and `vmap` do not know: call it outside of them. "
            "`jax.grad` and `jax.jvp` work as they are; in compiled code differentiate `stability(...).growth` instead."
        )
    return still


def _undefined(changes: PyTree) -> Array:
    """NaN, but zero where nothing changes: linear, so that a value that is not asked for spoils no other one's gradient."""
    leaves = jax.tree.leaves(changes)
    parts = [jnp.sum(jnp.cos(1.0 + i + jnp.arange(leaf.size)) * leaf.reshape(-1)) for i, leaf in enumerate(leaves)]
    total = jnp.sum(jnp.stack(parts))
    big = jnp.finfo(jnp.result_type(float)).max
    return total * big * big - total * big * big


@eqx.filter_custom_jvp
def carry(values: Array, system: AbstractSystem, moved: Moved, guess: PyTree, tangent: Any, width: Array) -> Array:
    r"""Critical values, found on concrete numbers, as differentiable functions of the system.

    With the growth g at the equilibrium, solved for again, :math:`dv = -(\partial g/\partial\theta)\,d\theta /
    (\partial g/\partial v)`. NaN where no simple mode's growth alone crosses zero with a slope.
    """
    return values


@carry.def_jvp
def _carry_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    values, system, moved, guess, tangent, width = primals
    if not _tree.concrete(values, system, moved, guess):
        raise ValueError("A critical value has a first derivative only; take second derivatives by differences of first ones.")
    system, guess = _tree.system_arrays(system), _tree.state_arrays(guess)
    changes = []
    for value in values:
        fixed = _crossing(system, moved, guess, tangent, newton(guess), value, width)
        known = (value, fixed)
        change = eqx.filter_jvp(
            _growth_at, (system, moved, guess, known), (*tangents[1:4], jax.tree.map(lambda _: None, known))
        )[1]
        change = jnp.zeros_like(value) if change is None else change.astype(value.dtype)
        changes.append(-change / fixed.slope if jnp.isfinite(fixed.slope) else _undefined(tangents[1:4]))
    return values, jnp.stack(changes)
