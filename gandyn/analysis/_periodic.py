"""Branches of limit cycles as paths: the equations of shooting, and the functions whose zeros are bifurcations."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree, Scalar

from .. import _tree
from .._field import Flat
from .._march import Solver
from .._system import AbstractFlow
from ._branch import AbstractBranch, Special, exact
from ._floquet import Floquet, floquet, product
from ._moved import Moved, move
from ._path import ENDLESS, RUNNING, SHRUNK, branch_point, other_tangent
from ._return_form import return_form
from ._shooting import follow_each
from ._steady import bordered, signed

# An orbit is shot at from so many nodes, which march abreast, and every stretch between two is kept as so many states.
NODES, STATES = 8, 8
# On the way to an orbit that comes to rest the slowest speed falls to this part of the largest.
_REST = 1e-6
# What a bifurcation of a cycle is called as one of the return map.
_RETURN = {"fold of cycles": "fold", "branch point": "branch point", "torus": "Neimark-Sacker", "period doubling": "flip"}


class Extended(AbstractFlow):
    """A flow with a parameter, in its unit, as one more coordinate, which rests: so derivatives by it come with the others."""

    flow: AbstractFlow
    moved: Moved
    unit: Scalar

    def at(self, parameter: Scalar) -> AbstractFlow:
        """The flow at a value."""
        return move(self.flow, self.moved, parameter * self.unit)

    def __call__(self, x: tuple[PyTree, Scalar]) -> tuple[PyTree, Scalar]:
        """The velocity."""
        return self.at(x[1])(x[0]), jnp.zeros_like(x[1])

    def switches(self, x: tuple[PyTree, Scalar]) -> Float[Array, " k"]:
        """Those of the flow."""
        return self.at(x[1]).switches(x[0])


class Turn(NamedTuple):
    """What is kept of an orbit: states at equal times, the matrices from node to node, and the integral of the divergence."""

    states: Float[Array, "l n"]
    matrices: Float[Array, "s n n"]
    divergence: Scalar


class Periodic(AbstractBranch):
    r"""Closed orbits of a flow as one parameter moves.

    A point holds the nodes :math:`x_i` of the orbit over the root of their number, the logarithm of the period and the
    parameter in its unit; the equations are :math:`\varphi_{T/s}(x_i) = x_{i+1}` and that the nodes together are not shifted
    along the orbit against those of the `anchor`, another point.
    """

    flow: AbstractFlow
    moved: Moved
    like: PyTree
    unit: Scalar
    solver: Solver
    anchor: Float[Array, " k"]

    def extended(self) -> tuple[AbstractFlow, PyTree]:
        """The flow with the parameter as its last coordinate, and a state of it for the structure."""
        return Extended(self.flow, self.moved, self.unit), (self.like, self.anchor[-1])

    def field(self) -> Flat:
        """That flow on vectors."""
        flow, like = self.extended()
        return Flat(flow, _tree.ravel(like)[1])

    def nodes(self, point: Float[Array, " k"]) -> Float[Array, "s m"]:
        """The nodes of an orbit, each with the parameter."""
        nodes = point[:-2].reshape(NODES, -1) * NODES**0.5
        return jnp.concatenate([nodes, jnp.broadcast_to(point[-1], (NODES, 1))], axis=1)

    def point(self, nodes: Float[Array, "s n"], period: Scalar, value: Scalar) -> Float[Array, " k"]:
        """The point with these nodes, period and value of the parameter."""
        return jnp.concatenate([nodes.reshape(-1) / NODES**0.5, jnp.stack([jnp.log(period), value / self.unit])])

    def at(self, point: Float[Array, " k"]) -> tuple[AbstractFlow, PyTree, Scalar]:
        """The flow, a state on the cycle and the period at a point of the path."""
        flow, unravel = move(self.flow, self.moved, point[-1] * self.unit), _tree.ravel(self.like)[1]
        return flow, unravel(self.nodes(point)[0, :-1]), jnp.exp(point[-2])

    def orbit(self, turn: Turn) -> PyTree:
        """The states of a turn, the first again at the end."""
        states = jnp.concatenate([turn.states, turn.states[:1]])
        return jax.vmap(_tree.ravel(self.like)[1])(states)

    def beside(self, point: Float[Array, " k"]) -> "Periodic":
        """With the phase of this orbit."""
        return eqx.tree_at(lambda problem: problem.anchor, self, point)

    def measure(self, point: Float[Array, " k"]) -> tuple[Float[Array, " n"], Float[Array, "n k"], Turn]:
        """Everything from one march along the orbit, with its variational equation."""
        field, starts, time = self.field(), self.nodes(point), jnp.exp(point[-2]) / NODES
        pieces = follow_each(field, self.solver, starts, time, STATES, jnp.roll(starts, -1, axis=0))
        n, kind = starts.shape[1] - 1, point.dtype
        flow = jax.vmap(field)(self.nodes(self.anchor))[:, :n].reshape(-1)
        along = flow / jnp.linalg.norm(flow)
        gaps = (pieces.end - jnp.roll(starts, -1, axis=0))[:, :n] / NODES**0.5
        residual = jnp.append(gaps.reshape(-1), along @ (point - self.anchor)[:-2])
        matrices = jax.vmap(product)(pieces.matrices)
        ends = jax.vmap(field)(pieces.end)[:, :n] * time
        from_node = jax.scipy.linalg.block_diag(*matrices[:, :n, :n])
        to_node = jnp.roll(jnp.eye(NODES * n, dtype=kind), n, axis=1)
        others = jnp.stack([ends.reshape(-1), matrices[:, :n, n].reshape(-1)], axis=1) / NODES**0.5
        slope = jnp.concatenate([from_node - to_node, others], axis=1)
        slope = jnp.concatenate([slope, jnp.append(along, jnp.zeros(2, kind))[None]])
        states = pieces.starts[..., :n].reshape(-1, n)
        return residual, slope, Turn(states, matrices[:, :n, :n], jnp.sum(pieces.logs))

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        """What is left open; its derivative is the one that comes with it."""
        here = jax.lax.stop_gradient(point)
        residual, slope, _ = self.measure(here)
        return residual + slope @ (point - here)

    def slope(self, point: Float[Array, " k"]) -> Float[Array, "n k"]:
        """The derivative of the residual; its own is by differences, because the solver's steps have none."""
        return _slope(self, point)

    def multipliers(self, point: Float[Array, " k"], turn: Turn) -> Floquet:
        """Logarithms of the Floquet multipliers but the trivial one."""
        velocity = self.field()(self.nodes(point)[0])[:-1]
        return floquet(turn.matrices, turn.divergence, velocity, jnp.asarray(10 * self.solver.rtol, point.dtype))

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Turn) -> Float[Array, " t"]:
        r"""Functions that change sign at a fold of cycles, a branch point, a torus and a period doubling.

        In turn the parameter's part of the tangent, the smallest singular value of the slope bordered by the tangent with the
        sign of the determinant, the product of all :math:`\mu_i\mu_j - 1`, i < j, and that of all :math:`\mu_i + 1`, of the
        multipliers but the trivial one.
        """
        values: Complex[Array, " m"] = jnp.exp(self.multipliers(point, extra).logs)
        i, j = jnp.triu_indices(values.size, 1)
        return jnp.stack([tangent[-1], bordered(slope, tangent), signed(values[i] * values[j] - 1), signed(values + 1)])

    def halt(self, before: Array, point: Array, tangent: Array, extra: Turn) -> Int[Array, ""]:
        """Ends in a Hopf point, behind which the same orbits come again half a turn later, or where the orbit comes to rest."""
        past, now = (nodes - jnp.mean(nodes, axis=0, keepdims=True) for nodes in map(self.nodes, (before, point)))
        field, parameter = self.field(), point[-1:]
        speeds = jnp.linalg.norm(jax.vmap(lambda y: field(jnp.concatenate([y, parameter])))(extra.states), axis=1)
        rests = (jnp.min(speeds) < _REST * jnp.max(speeds)) & (jnp.abs(tangent[-2]) > 10 * jnp.abs(tangent[-1]))
        return jnp.select([jnp.sum(past * now) <= 0, rests], [jnp.asarray(SHRUNK), jnp.asarray(ENDLESS)], RUNNING)

    def kinds(self) -> tuple[str, ...]:
        """In the order of `tests`."""
        return ("fold of cycles", "branch point", "torus", "period doubling")

    def rounding(self, point: Float[Array, " k"]) -> float:
        """What the march is good for."""
        return self.precision()

    def precision(self) -> float:
        """Ten times the relative tolerance, as errors of steps add up."""
        return 10 * self.solver.rtol

    def noise(self, tests: np.ndarray) -> np.ndarray | float:
        """A hundred times the precision: all test functions are of the order of one."""
        return 100 * self.precision()

    def special(self, point: Float[Array, " k"], tangent: Float[Array, " k"], kind: str, extra: Turn) -> Special | None:
        """With the multiplier and the normal form of the return map."""
        problem = self.beside(point)
        point = branch_point(problem, point) if kind == "branch point" else point
        _, x, period = self.at(point)
        orbit = self.nodes(point), period, extra.matrices
        found = return_form(*self.extended(), self.solver, *orbit, _RETURN[kind], exact(self.precision()))
        if found is None:
            return None
        other = jnp.full_like(point, jnp.nan)
        if kind == "branch point":
            other = other_tangent(problem, point, tangent).at[-1].multiply(self.unit)
        value, (eigenvalue, coefficient, character) = point[-1] * self.unit, found
        return Special(value, x, eigenvalue, coefficient, other, period, self.orbit(extra), kind, character)


@eqx.filter_custom_jvp
def _slope(problem: Periodic, point: Float[Array, " k"]) -> Float[Array, "n k"]:
    return problem.measure(point)[1]


@_slope.def_jvp
def _slope_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    problem, point = primals
    # Central differences of second order: their errors and those of the slope balance, and leave half of its digits and more.
    h = problem.precision() ** (1 / 3) * (1 + jnp.linalg.norm(point))
    steps = h * jnp.eye(point.size, dtype=point.dtype)
    ahead, back = jax.vmap(jax.vmap(lambda step: _slope(problem, point + step)))(jnp.stack([steps, -steps]))
    return _slope(problem, point), jnp.tensordot(tangents[1], (ahead - back) / (2 * h), 1)
