"""Implicit steps: each solves an equation for the next state."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._results import RESULTS, worst
from .._system import AbstractFlow, AbstractMap, AbstractSystem
from ._step import advance, check_step, check_weight, steps


def _solve(operator: Callable[[PyTree], PyTree], right: PyTree, solver: Any = None) -> PyTree:
    """The solution of a linear system, NaN where it is singular, and so are its derivatives."""
    solver = lx.AutoLinearSolver(well_posed=True) if solver is None else solver

    vector, unravel = _tree.ravel(right)

    def product(v: Array) -> Array:
        return _tree.ravel(operator(unravel(v)))[0]

    # lineax raises wherever it solves for derivatives; these are solved for here instead, too.
    def solve(product: Callable[[Array], Array], b: Array) -> Array:
        matrix = lx.FunctionLinearOperator(product, jax.eval_shape(lambda: b))
        solution = lx.linear_solve(matrix, b, solver, throw=False)
        return jnp.where(solution.result == lx.RESULTS.successful, solution.value, jnp.nan)

    return unravel(jax.lax.custom_linear_solve(product, vector, solve, solve))


class Implicit(AbstractMap):
    r"""The implicit step :math:`y = x + h\,v((1-\vartheta)x + \vartheta y)`, solved for y by Newton's method.

    A step whose equation has no solution in reach gives a non-finite state, and `failure` says so.

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player.
        theta: 1 is the implicit Euler method, 1/2 the implicit midpoint rule.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)
    theta: Scalar = eqx.field(converter=_tree.real, default=1.0)

    def __check_init__(self):
        check_step(self.h, "Implicit")
        check_weight(self.theta, "Implicit: theta")

    def __call__(self, x: PyTree) -> PyTree:
        """One step."""
        tolerance = 100 * _tree.eps(x)
        newton = optx.Newton(rtol=tolerance, atol=tolerance)

        def equation(y: PyTree) -> PyTree:
            between = _tree.axpy(self.theta, _tree.subtract(y, x), x)
            return _tree.subtract(advance(self.h, x, self.flow(between)), y)

        def solve(f: Callable[[PyTree], PyTree], guess: PyTree) -> PyTree:
            solution = optx.root_find(lambda y, _: f(y), newton, guess, max_steps=64, throw=False)
            solved = solution.result == optx.RESULTS.successful
            return jax.tree.map(lambda y: jnp.where(solved, y, jnp.nan), solution.value)

        return jax.lax.custom_root(equation, x, solve, _solve)

    def failure(self, x: PyTree) -> RESULTS:
        """The equation was not solved, unless it is the flow that has no value."""
        return worst((~_tree.finite(self.flow(x)), super().failure(x)), (~_tree.finite(self(x)), RESULTS.no_step))

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        r"""For one step size the flow, by :math:`\mu = \frac{1 + (1-\vartheta)h\lambda}{1 - \vartheta h\lambda}`."""
        if isinstance(self.h, jax.Array):
            return self.flow, lambda z: (1 + (1 - self.theta) * self.h * z) / (1 - self.theta * self.h * z)
        return super().spectrum_of()

    def evaluations(self) -> float:
        """NaN: the step solves an equation."""
        return float("nan")


def ProximalPoint(flow: AbstractFlow, h: PyTree) -> Implicit:
    r"""The proximal point method, :math:`y = x + h\,v(y)`: the implicit Euler step of the game's field (Rockafellar, 1976).

    Args:
        flow: The field.
        h: The step size.

    Returns:
        An `Implicit` map.
    """
    return Implicit(flow, h)


class Competitive(AbstractMap):
    r"""Competitive gradient descent: each step is the Nash equilibrium of the local bilinear game.

    Schäfer and Anandkumar (2019).

    The step :math:`\Delta` solves :math:`(I - h J_\times)\,\Delta = h\,v(x)`, where :math:`J_\times` is the Jacobian of the
    field without its diagonal blocks: how each player answers the others' moves.

    Args:
        flow: The field, on a state with players.
        h: The step size, positive.
        solver: A lineax solver; a dense one if left out, `lineax.GMRES(...)` for many parameters.
    """

    flow: AbstractFlow
    h: Scalar = eqx.field(converter=_tree.real)
    solver: Any = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_step(self.h, "Competitive")

    def __call__(self, x: PyTree) -> PyTree:
        """One step."""
        velocity, product = jax.linearize(self.flow, x)
        n = len(_tree.players(x))

        def others(move: PyTree, i: int) -> PyTree:
            moves = _tree.players(move)
            return _tree.with_players(x, [jax.tree.map(jnp.zeros_like, m) if i == j else m for j, m in enumerate(moves)])

        def operator(move: PyTree) -> PyTree:
            answers = _tree.with_players(x, [_tree.players(product(others(move, i)))[i] for i in range(n)])
            return _tree.axpy(-self.h, answers, move)

        return _tree.axpy(self.h, _solve(operator, velocity, self.solver), x)

    def failure(self, x: PyTree) -> RESULTS:
        """The local game has no Nash equilibrium, unless it is the flow that has no value."""
        return worst((~_tree.finite(self.flow(x)), super().failure(x)), (~_tree.finite(self(x)), RESULTS.singular_step))

    def evaluations(self) -> float:
        """NaN: the step solves an equation."""
        return float("nan")


class FollowTheRidge(AbstractMap):
    r"""Follow-the-Ridge (Wang, Zhang and Ba, 2020): the follower corrects for the leader's move along its own optimum.

    .. math:: x \leftarrow x + h v_x, \qquad y \leftarrow y + h v_y - h (\partial_y v_y)^{-1} \partial_x v_y\, v_x

    Args:
        flow: The field, on a state of a leader (the generator) and a follower.
        h: The step size, positive.
        solver: A lineax solver; a dense one if left out.
    """

    flow: AbstractFlow
    h: Scalar = eqx.field(converter=_tree.real)
    solver: Any = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_step(self.h, "FollowTheRidge")

    def __call__(self, x: PyTree) -> PyTree:
        """One step."""
        velocity, product = jax.linearize(self.flow, x)
        if len(_tree.players(x)) != 2:
            raise ValueError(f"FollowTheRidge takes a leader and a follower; the state is {_tree.describe(x)}.")
        leader, follower = _tree.players(velocity)
        still = [jax.tree.map(jnp.zeros_like, part) for part in (leader, follower)]
        drift = _tree.players(product(_tree.with_players(x, [leader, still[1]])))[1]

        def own(move: PyTree) -> PyTree:
            return _tree.players(product(_tree.with_players(x, [still[0], move])))[1]

        answer = _solve(own, drift, self.solver)
        return _tree.axpy(self.h, _tree.with_players(x, [leader, _tree.subtract(follower, answer)]), x)

    def failure(self, x: PyTree) -> RESULTS:
        """The follower has no ridge here, unless it is the flow that has no value."""
        return worst((~_tree.finite(self.flow(x)), super().failure(x)), (~_tree.finite(self(x)), RESULTS.singular_step))

    def evaluations(self) -> float:
        """NaN: the step solves an equation."""
        return float("nan")
