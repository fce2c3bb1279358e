"""Where a training run has come to, and what the linearisation says of it there."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Key, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, worst
from .._system import AbstractFlow, AbstractMap
from ..maps._random import Random
from ._eigenpairs import Eigenpairs, eigenpairs, rounding
from ._krylov import Arnoldi, Largest, Rightmost
from ._linear import Dense
from ._products import carried

# A mean is told from zero at so many standard errors.
_CLEAR = 3.0
# For how many applications a displacement is followed.
_FOLLOWED = 20


class EndPoint(eqx.Module):
    r"""Where a run with mini-batches is, and what the linearisation of its mean field predicts there.

    `gradient` is :math:`|\mathbb E v|`, estimated without the bias of the noise, and `clear` by how many standard errors its
    square differs from zero. `noise` is :math:`(\operatorname{tr}\operatorname{Cov} v)^{1/2}` of one mini-batch. `flow` holds
    the rightmost eigenvalues of the mean field's Jacobian, `stiff` those of largest modulus, `map` the multipliers of largest
    modulus of the training map on the mean field.

    `multiplier` is what an infinitesimal displacement along the map's leading eigenvector is multiplied by per application,
    carried along for some applications while the state moves; to be compared with the first of `map.values`. `critical_step` is
    the step size at which simultaneous gradient descent loses a mode that is stable in the flow,
    :math:`\min -2\,{\rm Re}\,\lambda/|\lambda|^2` over the eigenvalues found (an upper bound, since others may need less; zero
    where a mode grows in the flow), and `time` the step size in use, NaN where it is no time, as with Adam.
    """

    gradient: Scalar
    noise: Scalar
    clear: Scalar
    flow: Eigenpairs
    stiff: Eigenpairs
    map: Eigenpairs
    multiplier: Complex[Array, ""]
    time: Scalar
    result: RESULTS

    @property
    def at_rest(self) -> bool:
        """Whether the mean field cannot be told from zero beside the noise of the mini-batches drawn."""
        return bool(self.clear < _CLEAR)

    @property
    def zero_modes(self) -> int:
        """How many of the flow's eigenvalues found are zero within their error."""
        return int(jnp.sum(jnp.abs(self.flow.values) <= self.flow.errors))

    @property
    def growth(self) -> Scalar:
        """The largest real part of an eigenvalue of the flow; a lower bound where not all were found."""
        return jnp.nanmax(self.flow.values.real)

    @property
    def critical_step(self) -> Scalar:
        """The largest step size of simultaneous gradient descent that keeps what is stable in the flow; an upper bound."""
        values = jnp.concatenate([self.flow.values, self.stiff.values])
        errors = jnp.concatenate([self.flow.errors, self.stiff.errors])
        known = jnp.isfinite(values) & (jnp.abs(values) > errors)
        bounds = jnp.where(known, -2 * values.real / jnp.where(known, jnp.abs(values), 1.0) ** 2, jnp.inf)
        return jnp.maximum(jnp.min(bounds), 0.0)

    def __str__(self) -> str:
        lead, rest = self.map.values[0], "at rest within the noise" if self.at_rest else "still moving"
        growing = "grows" if self.growth > self.flow.errors[0] else "nothing found grows beyond its error"
        return "\n".join(
            [
                f"mean field   {float(self.gradient):.4g} beside a noise of {float(self.noise):.4g}: {rest}",
                f"flow         {complex(self.flow.values[0]):.6g}  (error {float(self.flow.errors[0]):.1g}; {growing})",
                f"zero modes   {self.zero_modes} of the {self.flow.values.size} found",
                f"map          {complex(lead):.8g}  followed {complex(self.multiplier):.8g}",
                f"step size    {float(self.time):.4g}  critical at most {float(self.critical_step):.4g}",
            ]
        )


class _Mean(AbstractFlow):
    """The mean of the flow inside a map over some draws."""

    map: AbstractMap
    redraw: Callable
    keys: Key[Array, " k"]

    def __call__(self, x: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: leaf.mean(axis=0), self.each(x))

    def each(self, x: PyTree) -> PyTree:
        """The flow of each draw, along a leading axis."""
        return _each(self, x)


# Compiled by itself, so that everything that asks for the mean traces it once.
@eqx.filter_jit
def _each(mean: _Mean, x: PyTree) -> PyTree:
    # One draw after the other, which compiles in the time of one.
    return jax.lax.map(lambda key: _tree.inside(mean.redraw(key, mean.map), AbstractFlow)(x), mean.keys)


def _with_flow(step: AbstractMap, flow: AbstractFlow) -> AbstractMap:
    """The map with another flow in place of its own."""

    def is_flow(node: Any) -> bool:
        return isinstance(node, AbstractFlow)

    return jax.tree.map(lambda node: flow if is_flow(node) else node, step, is_leaf=is_flow)


def mean_field(step: AbstractMap, state: PyTree, key: Key[Array, ""], draws: int) -> tuple[AbstractFlow, AbstractMap, PyTree]:
    """The mean of a random map's flow over some draws, the map on that flow, and the state of this map.

    Of a map without noise the flow inside it and the map itself.
    """
    return _mean_field(step, state, key, draws) if isinstance(step, Random) else (_tree.inside(step, AbstractFlow), step, state)


def _mean_field(step: Random, state: PyTree, key: Key[Array, ""], draws: int) -> tuple[_Mean, AbstractMap, PyTree]:
    mean = _Mean(step.map, step.redraw, jax.random.split(key, draws))
    return mean, _with_flow(step.map, mean), step.inner(state)


def _fields(mean: _Mean, x: PyTree) -> np.ndarray:
    """The field of each draw, one a row."""
    leaves = jax.tree.leaves(mean.each(x))
    return np.concatenate([np.asarray(leaf, float).reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _moments(fields: np.ndarray) -> tuple[float, float, float]:
    """The square of the mean's norm without the noise's part, its standard error, and the noise.

    The products of independent draws estimate the square of the mean; leaving out one draw at a time tells their error.
    """
    n = len(fields)
    products = fields @ fields.T
    cross, total = products.sum(axis=1) - np.diag(products), products.sum() - np.trace(products)
    square = total / (n * (n - 1))
    without = (total - 2 * cross) / ((n - 1) * (n - 2))
    error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    noise = np.sqrt(max(np.trace(products) / n - square, 0.0))
    return float(square), float(error), float(noise)


def _multiplier(step: AbstractMap, state: PyTree, vector: np.ndarray, expected: complex) -> complex:
    """What a displacement along an eigenvector is multiplied by per application: the root nearest to expected.

    NaN where no eigenvector was found.
    """
    if not np.all(np.isfinite(vector)):
        return complex(np.nan, np.nan)
    real, imaginary = np.real(vector), np.imag(vector)
    ahead = np.asarray(carried(step, state, jnp.asarray(real, _tree.ravel(state)[0].dtype), _FOLLOWED), float)
    if not np.all(np.isfinite(ahead)):
        return complex(np.nan, np.nan)
    plane = np.stack([real, -imaginary], axis=1) if np.any(imaginary) else real[:, None]
    root = complex(*np.linalg.lstsq(plane, ahead, rcond=None)[0]) ** (1 / _FOLLOWED)
    roots = root * np.exp(2j * np.pi * np.arange(_FOLLOWED) / _FOLLOWED)
    return complex(roots[np.argmin(np.abs(roots - expected))])


def endpoint(
    step: Random,
    state: PyTree,
    *,
    draws: int = 8,
    spectrum: Dense | Arnoldi = Arnoldi(4, restarts=30, tolerance=1e-3),
    key: Key[Array, ""] | None = None,
    throw: bool = True,
) -> EndPoint:
    """What theory says of where a run with mini-batches has come to: an equilibrium or not, its modes, its step size.

    Args:
        step: The map with its mini-batches.
        state: Its state, such as `run.state`.
        draws: How many mini-batches the mean field is the mean of, at least three.
        spectrum: How eigenvalues are found; `gd.Dense()` for all of a small network.
        key: Of the draws, `jax.random.key(0)` if left out.
        throw: Raise if the mean field is not finite or no eigenvalue was found.

    Returns:
        An `EndPoint`.

    Raises:
        ValueError: A map without mini-batches, too few draws, or a state of the wrong structure.
        RuntimeError: The mean field is not finite, or no eigenvalue was found (with `throw`).
    """
    if not isinstance(step, Random):
        raise ValueError(
            f"endpoint takes a map with mini-batches, gd.Random(map, redraw); got {type(step).__name__}. Without noise "
            "there are `stability` and `rate`."
        )
    if draws < 3:
        raise ValueError(f"endpoint: three draws are needed at least to tell a mean from noise; got {draws}.")
    step, state = prepare(step, state)
    mean, under, inner = _mean_field(step, state, jax.random.key(0) if key is None else key, draws)
    x = step.point(state)
    square, error, noise = _moments(_fields(mean, x))

    def found(system: Any, at: PyTree, target: Any) -> Eigenpairs:
        wanted = eqx.tree_at(lambda s: s.target, spectrum, target) if isinstance(spectrum, Arnoldi) else spectrum
        return eigenpairs(system, at, spectrum=wanted, throw=False)

    flow, stiff, multipliers = found(mean, x, Rightmost()), found(mean, x, Largest()), found(under, inner, Largest())
    followed = _multiplier(under, inner, np.asarray(multipliers.vectors[0]), complex(multipliers.values[0]))
    # Where there is no noise a mean is told from zero by its rounding.
    rounded = rounding(mean, x, float(jnp.nanmax(jnp.abs(stiff.values)))) * (1 + float(_tree.norm(x)))
    clear = square / max(error, rounded**2)
    result = worst(
        (jnp.asarray(~np.isfinite(square + noise)), RESULTS.nonfinite),
        (~jnp.isfinite(flow.values[0]) | ~jnp.isfinite(multipliers.values[0]), RESULTS.no_eigenvalue),
    )
    check(result, throw, "endpoint: ")
    moments = (jnp.asarray(np.sqrt(max(square, 0.0))), jnp.asarray(noise), jnp.asarray(clear))
    return EndPoint(*moments, flow, stiff, multipliers, jnp.asarray(followed), jnp.asarray(step.map.time()), result)
