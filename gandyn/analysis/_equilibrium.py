"""Equilibria: one from a guess, and the manifold on which a degenerate one lies."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractMap, AbstractSystem
from ._memory import settled


class Equilibrium(eqx.Module):
    """A zero of a system's residual: the state, the norm of the residual there, and how it was found."""

    state: PyTree
    residual: Scalar
    result: RESULTS
    stats: dict[str, Any]

    def __str__(self) -> str:
        return f"Equilibrium at {_tree.numbers(self.state)}; residual {self.residual:.2g}"


def _cast(x: PyTree, like: PyTree) -> PyTree:
    return jax.tree.map(lambda u, v: u.astype(v.dtype), x, like)


def _residual(moving: PyTree, args: tuple[AbstractSystem, PyTree]) -> PyTree:
    system, guess = args
    narrow, still = _tree.split(guess)
    return _cast(_tree.split(system.residual(_tree.merge(_cast(moving, narrow), still)))[0], moving)


@eqx.filter_jit
def _equilibrium(system: AbstractSystem, guess: PyTree, solver: Any, max_steps: int) -> Equilibrium:
    # The coordinates of the guess, the clocks where training at rest takes them; all in the widest type of the state, since
    # optax keeps some memories in single precision and a solver mixes no types.
    narrow, still = _tree.split(guess)[0], _tree.split(settled(system, guess))[1]
    guess = _tree.merge(narrow, still)
    kind = jnp.result_type(*jax.tree.leaves(narrow))
    moving = jax.tree.map(lambda leaf: leaf.astype(kind), narrow)
    solution = optx.root_find(_residual, solver, moving, (system, guess), max_steps=max_steps, throw=False)
    state = _tree.merge(_cast(solution.value, narrow), still)
    residual, pullback = jax.vjp(lambda y: _residual(y, (system, guess)), solution.value)
    size, slope, reach = _tree.norm(residual), _tree.norm(pullback(residual)[0]), 1 + _tree.norm(state)
    eps = _tree.eps(guess)
    # Within a Newton step's reach, which neither a local minimum of the residual is nor a tail of a vanishing gradient;
    # or zero to rounding beside the slope in some generic direction.
    vector, unravel = _tree.ravel(solution.value)
    generic = _tree.norm(pullback(unravel(jnp.cos(jnp.arange(1.0, vector.size + 1)).astype(vector.dtype)))[0])
    rounding = 20 * eps * generic * reach + (10 * eps * _tree.norm(state) if isinstance(system, AbstractMap) else 0.0)
    small = (size**2 <= eps**0.5 * slope * reach) | (size <= rounding)
    broken = ~(jnp.isfinite(size) & _tree.finite(state))
    kinked = jnp.any(jnp.abs(system.switches(state)) <= eps**0.5)
    result = worst(
        (broken, first(system.failure(state), RESULTS.nonfinite)),
        (~small & kinked, RESULTS.switching),
        (~small, RESULTS.not_converged),
    )
    return Equilibrium(state, size, result, {"steps": solution.stats["num_steps"]})


def newton(x: PyTree) -> Any:
    """Newton's method for singular Jacobians, where starts are many or close: it compiles four times as fast."""
    tolerance = 100 * _tree.eps(x)
    return optx.Newton(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD())


def default_solver(x: PyTree) -> Any:
    """Powell's dogleg with the tolerance that the state's type allows, and with a solver for singular Jacobians.

    Newton's method where the state is not of the default float type, which optimistix's descents take for granted.
    """
    if any(leaf.dtype != jnp.result_type(float) for leaf in jax.tree.leaves(_tree.split(x)[0])):
        return newton(x)
    tolerance = 100 * _tree.eps(x)
    return optx.Dogleg(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD())


def equilibrium(
    system: AbstractSystem, guess: PyTree, *, solver: Any = None, max_steps: int = 256, throw: bool = True
) -> Equilibrium:
    """An equilibrium near a guess: a zero of the flow's velocity, or a fixed point of the map.

    Differentiable in the system's leaves by the implicit function theorem.

    Args:
        system: A flow or a map.
        guess: A state near the equilibrium.
        solver: An optimistix root finder or least-squares solver; Powell's dogleg if left out, which also converges to
            points of a manifold of equilibria and to degenerate ones.
        max_steps: Steps after which to give up.
        throw: Raise if none is found.

    Returns:
        An `Equilibrium` with `.state`, `.residual` and `.result`.

    Raises:
        ValueError: A guess of the wrong structure or not finite.
        RuntimeError: No equilibrium was found (with `throw`).
    """
    system, guess = prepare(system, guess)
    found = _equilibrium(system, guess, solver or default_solver(guess), max_steps)
    check(found.result, throw, "equilibrium: ")
    return found


@eqx.filter_jit
def from_starts(system: AbstractSystem, starts: PyTree, solver: Any, max_steps: int) -> tuple[Equilibrium, Array]:
    """What is found from each of the stacked starts, and the singular values of the Jacobian there."""

    def run(start: PyTree) -> tuple[Equilibrium, Array]:
        found = _equilibrium(system, start, solver, max_steps)
        singular = jnp.linalg.svd(residual_jacobian(system, found.state), compute_uv=False)
        return found, singular

    return jax.vmap(run)(starts)


@eqx.filter_jit
def residual_jacobian(system: AbstractSystem, x: PyTree) -> Float[Array, "n n"]:
    """The dense Jacobian of the residual on the coordinates of a state."""
    vector, unravel = _tree.ravel(x)
    return jax.jacfwd(lambda v: _tree.ravel(system.residual(unravel(v)))[0])(vector)


class Manifold(eqx.Module):
    """The manifold of equilibria through a point.

    `tangent` holds an orthonormal basis of its tangent space in columns, on the state's coordinates; `kernel` is the
    dimension of the Jacobian's null space, of which the tangent space is a part; `residual` is the largest residual
    among the neighbouring equilibria that show it.
    """

    tangent: Float[Array, "n d"]
    kernel: int = eqx.field(static=True)
    residual: Scalar

    @property
    def dimension(self) -> int:
        """The manifold's dimension; zero for an isolated equilibrium."""
        return self.tangent.shape[1]


def null_vectors(system: AbstractSystem, x: PyTree) -> np.ndarray:
    """An orthonormal basis, in columns, of what the Jacobian of the residual takes to zero, to within half of the digits."""
    _, values, rows = np.linalg.svd(np.asarray(residual_jacobian(system, x)))
    eps = _tree.eps(x)
    return rows[values <= eps**0.5 * max(values[0], eps)].T


def solved_beside(
    system: AbstractSystem, x: PyTree, basis: np.ndarray, count: int, length: float, seed: int
) -> tuple[Equilibrium, np.ndarray]:
    """What Newton's method finds from random states at a distance in the span of a basis, and how far that is from `x`."""
    vector, unravel = _tree.ravel(x)
    directions = np.random.default_rng(seed).normal(size=(count, basis.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    starts = jax.vmap(lambda d: unravel(vector + length * d))(jnp.asarray(directions @ basis.T, vector.dtype))
    found, _ = from_starts(system, starts, newton(x), 256)
    return found, np.asarray(jax.vmap(lambda s: _tree.ravel(s)[0] - vector)(found.state))


def manifold(system: AbstractSystem, x: PyTree, *, step: float = 1e-2) -> Manifold:
    """Whether an equilibrium lies on a manifold of equilibria, found by moving along the null space and solving again.

    A null vector is tangent to equilibria only if there are equilibria beside the point: a zero eigenvalue alone shows
    nothing. Give the result to `stability(..., modulo=...)` for the stability transverse to the manifold.

    Args:
        system: A flow or a map.
        x: An equilibrium.
        step: How far to move, relative to the size of the state.

    Returns:
        A `Manifold`.

    Raises:
        ValueError: A state of the wrong structure.
    """
    system, x = prepare(system, x)
    vector, null = _tree.ravel(x)[0], null_vectors(system, x)
    kernel = null.shape[1]
    if kernel == 0:
        return Manifold(jnp.zeros((vector.size, 0), vector.dtype), 0, jnp.zeros(()))
    length = step * (1 + float(jnp.linalg.norm(vector)))
    found, moved = solved_beside(system, x, null, 2 * kernel + 2, length, seed=0)
    far = np.asarray(found.result == RESULTS.successful) & (np.linalg.norm(moved, axis=1) > length / 10)
    if not far.any():
        return Manifold(jnp.zeros((vector.size, 0), vector.dtype), kernel, jnp.zeros(()))
    spread = moved[far] / np.linalg.norm(moved[far], axis=1, keepdims=True) @ null
    _, sizes, basis = np.linalg.svd(spread)
    dimension = int(np.sum(sizes > 0.1 * sizes[0]))
    return Manifold(jnp.asarray(null @ basis[:dimension].T, vector.dtype), kernel, found.residual[far].max())
