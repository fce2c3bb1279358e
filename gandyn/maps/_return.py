"""Maps that follow a flow: for a given time, or to the next crossing with a section."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _march, _tree
from .._crossing import search
from .._field import Flat
from .._march import Solver, carried, flow_map
from .._results import RESULTS, worst
from .._section import Section, on_vectors
from .._system import AbstractFlow, AbstractMap

# In first steps of the solver: how far before the section a start counts as on it. With zero every point just before the
# section would be all but a fixed point, and root finders would end there.
_GUARD = 1.0


class TimeMap(AbstractMap):
    r"""The stroboscopic map :math:`x \mapsto \varphi_T(x)`: the flow followed for a time T.

    Its derivatives, by `jax.jvp` and `jax.jacfwd`, come from the variational equation; at switches of the field they jump as
    the saltation matrix says.

    Args:
        flow: The flow.
        duration: The time T, positive; a leaf.
        solver: A diffrax Runge–Kutta method; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step, and the absolute one; 1e-12 in double, 1e-5 in single precision.
        max_steps: Steps after which to give up.
    """

    flow: AbstractFlow
    duration: Scalar = eqx.field(converter=_tree.real)
    solver: Any = eqx.field(static=True, default=None)
    rtol: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=100_000)

    def __check_init__(self):
        if _tree.concrete(self.duration) and not self.duration > 0:
            raise ValueError(f"TimeMap: the duration must be positive; got {self.duration}.")

    def __call__(self, x: PyTree) -> PyTree:
        """The state after that time; not finite if the orbit does not get there."""
        y, unravel = _tree.ravel(_tree.state_arrays(x))
        solver = _march.settings(y, self.solver, self.rtol, self.rtol)
        return unravel(flow_map(Flat(self.flow, unravel), y, self.duration.astype(y.dtype), solver, self.max_steps))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """None: across a switch of the field the map has a derivative."""
        return jnp.zeros((0,))

    def precision(self, x: PyTree) -> float:
        """A hundred times the relative tolerance, as errors of steps add up."""
        return 100 * _march.settings(x, self.solver, self.rtol, self.rtol).rtol

    def step_size(self) -> PyTree:
        """The duration."""
        return self.duration

    def evaluations(self) -> float:
        """NaN: as many as the solver takes."""
        return float("nan")


class PoincareMap(AbstractMap):
    r"""The return map :math:`x \mapsto \varphi_{T(x)}(x)` to a section: the next state at which the orbit crosses it.

    It takes any state, on the section or not, and a limit cycle is an equilibrium of it. Its derivative is exact, of every
    order where the field is smooth: it maps onto the tangent space of the section, and the velocity to zero, so that one
    multiplier is zero by construction. A state that would meet the section within the solver's first step counts as on it,
    so that the map is smooth around the section.

    Args:
        flow: The flow.
        section: The section, in one direction or both.
        max_time: The time after which there is no return.
        solver: A diffrax Runge–Kutta method; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step, and the absolute one; 1e-12 in double, 1e-5 in single precision.
        max_steps: Steps after which to give up.
    """

    flow: AbstractFlow
    section: Section
    max_time: Scalar = eqx.field(converter=_tree.real, default=1e4)
    solver: Any = eqx.field(static=True, default=None)
    rtol: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=100_000)

    def _return(self, x: PyTree) -> tuple[Array, PyTree, Array]:
        y, unravel = _tree.ravel(_tree.state_arrays(x))
        solver = _march.settings(y, self.solver, self.rtol, self.rtol)
        field, limit = Flat(self.flow, unravel), self.max_time.astype(y.dtype)
        time, end, code = _first_return(field, self.section, y, limit, solver, self.max_steps)
        return time, unravel(end), code

    def __call__(self, x: PyTree) -> PyTree:
        """The next crossing; not finite if there is none, and `failure` says why."""
        return self._return(x)[1]

    def return_time(self, x: PyTree) -> Scalar:
        """The time to the next crossing; differentiable as the map itself."""
        return self._return(x)[0]

    def failure(self, x: PyTree) -> RESULTS:
        """Why the orbit does not return."""
        _, end, code = self._return(x)
        return worst((~_tree.finite(end), _march.outcome(code)))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """None: across a switch of the field the map has a derivative."""
        return jnp.zeros((0,))

    def precision(self, x: PyTree) -> float:
        """A hundred times the relative tolerance, as errors of steps add up."""
        return 100 * _march.settings(x, self.solver, self.rtol, self.rtol).rtol

    def projected(self) -> int:
        """One: the direction of the flow."""
        return 1

    def time(self) -> Array:
        """NaN: every return takes its own."""
        return jnp.full((), jnp.nan)

    def evaluations(self) -> float:
        """NaN: as many as the solver takes."""
        return float("nan")


@eqx.filter_custom_jvp
def _first_return(
    field: Flat, section: Section, y: Float[Array, " n"], limit: Scalar, solver: Solver, max_steps: int
) -> tuple[Scalar, Float[Array, " n"], Array]:
    """The time and state of the next crossing, and the search's code."""
    (times, states, _, _), end = search(field, section, y, 1, limit, _GUARD, solver, max_steps)
    return times[0], states[0], end.code


@_first_return.def_jvp
def _first_return_jvp(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    field, section, y, limit, solver, max_steps = primals
    shift, section_shift, dy = tangents[:3]
    time, end, code = _first_return(field, section, y, limit, solver, max_steps)
    span = time
    if jax.eval_shape(field.switches, y).size:
        # On the near side of a section that is a switch itself.
        span = time - 1e3 * jnp.finfo(y.dtype).eps * (1 + jnp.linalg.norm(end)) / jnp.linalg.norm(field(end))
    last = flow_map(field, y, span, solver, max_steps) if span is not time else end
    change = carried(field, y, span, solver, max_steps, (shift, dy))
    velocity = field(last)

    def value(surface: Section, u: Array) -> Scalar:
        return on_vectors(surface, field)(u)

    missed = eqx.filter_jvp(value, (section, last), (section_shift, change))[1]
    rate = jax.jvp(lambda u: value(section, u), (last,), (velocity,))[1]
    delay = -missed / rate
    return (time, end, code), (delay, change + velocity * delay, None)
