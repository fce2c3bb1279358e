"""What an orbit ends on, with the evidence."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Scalar

from .. import _tree
from .._evolve import prepare, shape
from .._results import RESULTS
from .._system import AbstractSystem
from . import _fate
from ._course import follow_flow, follow_map
from ._fate import Orbit

_NUMBERS = (
    "period",
    "multiplier",
    "drift",
    "residual",
    "growth",
    "slope",
    "exponent",
    "error",
    "transverse",
    "rotation",
    "sliding",
    "turns",
    "time",
)


class Attractor(eqx.Module):
    r"""What an orbit ends on, and what shows it.

    `kind`: `equilibrium`; `limit cycle`, a periodic orbit that attracts its neighbours (of a map, one of period two or more);
    `centre`, a closed orbit (of a map, an invariant curve) among others; `torus` or, of a map, `invariant circle`, on which the
    orbit turns without closing; `chaos`; `divergence`; `sliding` along a constraint; or `undecided`. `why` is the reason in
    words, `state` a state on it, or the last one.

    The numbers that were not looked at are NaN. `period` is that of a closed orbit; `multiplier` the largest modulus of the
    return map's slopes; `drift` the relative change of the last return; `residual` the distance to the equilibrium, or by how
    much the orbit does not close; `growth` the leading exponent of the linearisation at the equilibrium and `slope` that of
    :math:`1/r^2` of an algebraic decay; `exponent` and `error` the leading Lyapunov exponent and its standard error;
    `transverse` and `rotation` those of an invariant circle; `sliding` the share of time on a switch of the field. `turns` and
    `time` say how long the orbit was followed.
    """

    kind: str = eqx.field(static=True)
    why: str = eqx.field(static=True)
    state: PyTree
    period: Scalar
    multiplier: Scalar
    drift: Scalar
    residual: Scalar
    growth: Scalar
    slope: Scalar
    exponent: Scalar
    error: Scalar
    transverse: Scalar
    rotation: Scalar
    sliding: Scalar
    turns: Scalar
    time: Scalar
    result: RESULTS

    def __str__(self) -> str:
        lines = [f"kind         {self.kind}", f"because      {self.why}", f"state        {_tree.numbers(self.state)}"]
        for name in _NUMBERS:
            value = float(getattr(self, name))
            if np.isfinite(value):
                lines.append(f"{name:12s} {value:.10g}")
        return "\n".join(lines)


def attractor(system: AbstractSystem, x: PyTree, *, turns: int = 1000, throw: bool = True) -> Attractor:
    """What the orbit from a state ends on.

    The orbit is followed until the evidence decides. It has come to rest when it is a million times nearer to an equilibrium
    than it was, and that is not a saddle; or when it approaches one just as its linearisation, or its normal form, says. It has
    closed when its returns to a section repeat themselves to 1e-8; whether it is a limit cycle or one of a continuum is then
    read off neighbouring orbits: they come closer, or close by themselves. What neither rests nor closes nor runs away is
    regular or chaotic by its Lyapunov exponents and by how fast weighted averages converge along it.

    A drift of less than 1e-8 a turn that neither the linearisation nor the cubic normal form knows of passes for none. In
    single precision nothing is known so exactly: what would be a centre there is `undecided`.
    Jacobians are dense, and every coordinate has neighbouring orbits of its own: for up to some hundred coordinates.

    Args:
        system: A flow or a map.
        x: The state to start from; for a map with memory `system.init(point)`.
        turns: For how many turns to wait for the orbit to rest or to close, in stretches of 32; of a map a hundred times as
            many applications, in stretches of 2048. What does neither by then is followed for 128 to 320 turns more, or 16,448
            applications, to measure its exponents, and for another 1024 turns to tell a torus.
        throw: Raise if the system has no finite value at the start.

    Returns:
        An `Attractor` with `.kind`, `.why` and the evidence; `undecided` rather than something wrong.

    Raises:
        ValueError: Turns that are not positive, or a state of the wrong structure.
        RuntimeError: The system has no finite value at the start (with `throw`).
    """
    if turns < 1:
        raise ValueError(f"attractor: the orbit is followed for at least one turn; got turns={turns}.")
    system, x = prepare(system, x)
    vector, unravel = _tree.ravel(x)
    velocity, slope = (np.asarray(v) for v in _fate.linear_part(system, x))
    speed = float(np.linalg.norm(velocity))
    orbit = Orbit(system, np.asarray(vector), unravel, shape(_switch_values, system, x).size > 0)
    if not np.isfinite(speed):
        if throw:
            raise RuntimeError("attractor: the system has no finite value at the start.")
        found, end = orbit.ends(_fate.UNDECIDED, "the system has no finite value at the start"), x
    elif orbit.discrete:
        found, end = follow_map(orbit, x, 100 * turns)
    else:
        # At first a turn of the velocity as fast as it turns at the start.
        change = float(np.linalg.norm(slope @ velocity))
        found, end = follow_flow(orbit, x, 2 * np.pi * speed / change if 0 < change < np.inf else 1.0, turns)
    kind, why = str(found["kind"]), str(found["why"])
    state = orbit.state(found["place"]) if "place" in found and kind != _fate.UNDECIDED else end
    numbers = {name: jnp.asarray(found.get(name, jnp.nan), vector.dtype) for name in _NUMBERS}
    result = RESULTS.successful if np.isfinite(speed) else RESULTS.nonfinite
    return Attractor(kind=kind, why=why, state=state, result=result, **numbers)


def _switch_values(system: AbstractSystem, x: PyTree) -> Array:
    return system.switches(x)
