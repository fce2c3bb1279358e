"""Noise around a fixed point: the stationary covariance, and the diffusion that small steps tend to."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _tree
from .._evolve import Trajectory
from .._results import RESULTS, check, worst
from .._system import AbstractMap
from ..maps._random import Drawn, Random
from ._memory import has_memory


class Stationary(eqx.Module):
    r"""The fluctuations of a random map around a fixed point of its mean.

    `covariance` solves the discrete Lyapunov equation :math:`\Sigma = M\Sigma M^\top + Q` of the linearised map, with the mean
    Jacobian M and the covariance Q of the noise at the point; `second_moment` solves
    :math:`\Sigma = \mathbb E[J\Sigma J^\top] + Q`, which keeps that the Jacobian J is random too. `growth` is that of the mean
    square, half the logarithm of the spectral radius of :math:`\mathbb E[J\otimes J]`: not negative, and there is no
    stationary covariance.
    """

    covariance: Float[Array, "n n"]
    second_moment: Float[Array, "n n"]
    noise: Float[Array, "n n"]
    growth: Scalar
    result: RESULTS

    def __str__(self) -> str:
        spread = np.sqrt(np.maximum(np.diag(np.asarray(self.second_moment)), 0.0))
        shown = ", ".join(f"{s:.4g}" for s in spread[:8])
        return f"standard deviations {shown}; growth of the mean square {float(self.growth):.4g}"


def _apply(step: Random, x: PyTree, key: Array) -> PyTree:
    return step(Drawn(x, key)).state


@eqx.filter_jit
def _moments(step: Random, x: PyTree, keys: Array) -> tuple[Array, Array, Array]:
    vector, unravel = _tree.ravel(x)

    def draw(key: Array) -> tuple[Array, Array]:
        def image(v: Array) -> Array:
            return _tree.ravel(_apply(step, unravel(v), key))[0]

        return image(vector) - vector, jax.jacfwd(image)(vector)

    pushes, jacobians = jax.vmap(draw)(keys)
    squares = jax.vmap(jnp.kron)(jacobians, jacobians)
    centred = pushes - jnp.mean(pushes, axis=0)[None]
    return centred.T @ centred / (keys.shape[0] - 1), jnp.mean(jacobians, axis=0), jnp.mean(squares, axis=0)


def stationary(step: AbstractMap, x: PyTree, *, draws: int = 4096, throw: bool = True) -> Stationary:
    """The stationary covariance of a random map around a fixed point of its mean.

    Args:
        step: A `Random` map.
        x: The fixed point of the mean map, as a state of `step.map`.
        draws: How many draws to average over; the relative error falls as their square root.
        throw: Raise if there is no stationary covariance.

    Returns:
        A `Stationary`, on the coordinates of the state.

    Raises:
        ValueError: A map that is not random, or too few draws.
        RuntimeError: The mean square grows (with `throw`).
    """
    if not isinstance(step, Random) or draws < 2:
        raise ValueError(f"stationary takes a gd.Random map and at least two draws; got {type(step).__name__}, {draws}.")
    x = step.map.settle(_tree.state_arrays(x))
    noise, mean, square = _moments(_tree.system_arrays(step), x, jax.random.split(step.key, draws))
    n = noise.shape[0]
    growth = np.log(np.abs(np.linalg.eigvals(np.asarray(square))).max()) / 2
    result = worst((~jnp.isfinite(jnp.asarray(growth)), RESULTS.nonfinite), (jnp.asarray(growth >= 0), RESULTS.not_stable))
    check(result, throw, "stationary: ")
    covariance = scipy.linalg.solve_discrete_lyapunov(np.asarray(mean), np.asarray(noise))
    second = np.linalg.solve(np.eye(n * n) - np.asarray(square), np.asarray(noise).reshape(-1)).reshape(n, n)
    bad = result != RESULTS.successful
    masked = [jnp.where(bad, jnp.nan, _tree.real(value)) for value in (covariance, second, noise)]
    return Stationary(masked[0], masked[1], masked[2], _tree.real(growth), result)


def _drift(t: Any, x: Array, args: tuple) -> Array:
    pushes, h = _pushes(x, args)
    return jnp.mean(pushes, axis=0) / h


def _spread(t: Any, x: Array, args: tuple) -> Array:
    pushes, h = _pushes(x, args)
    values, vectors = jnp.linalg.eigh(jnp.cov(pushes.T).reshape(x.size, x.size) / h)
    return vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]


def _pushes(x: Array, args: tuple) -> tuple[Array, Array]:
    step, keys, unravel, h = args
    images = jax.vmap(lambda key: _tree.ravel(_apply(step, unravel(x), key))[0])(keys)
    return images - x[None], h


@eqx.filter_jit
def _diffuse(step: Random, x: PyTree, ts: Array, keys: Array, h: Scalar, path: Array, refinement: int) -> Trajectory:
    vector, unravel = _tree.ravel(x)
    brownian = diffrax.VirtualBrownianTree(ts[0], ts[-1], h / (4 * refinement), (vector.size,), path)
    terms = diffrax.MultiTerm(diffrax.ODETerm(_drift), diffrax.ControlTerm(_spread, brownian))
    args = (step, keys, unravel, h)
    solution = diffrax.diffeqsolve(
        terms,
        diffrax.Euler(),
        ts[0],
        ts[-1],
        h / refinement,
        vector,
        args,
        saveat=diffrax.SaveAt(ts=ts),
        max_steps=None,
        throw=False,
    )
    states = jnp.asarray(solution.ys)
    result = worst((~jnp.all(jnp.isfinite(states)), RESULTS.nonfinite))
    return Trajectory(ts, jax.vmap(unravel)(states), result, solution.stats)


def _own_step(step: Any) -> Scalar:
    return step.map.h


def diffuse(
    step: Random,
    x: PyTree,
    ts: _tree.Numbers,
    path: Key[Array, ""],
    *,
    where: Callable[[Any], Scalar] = _own_step,
    draws: int = 64,
    refinement: int = 4,
    throw: bool = True,
) -> Trajectory:
    r"""A path of the stochastic differential equation that a random map tends to for small steps (Li, Tai and E, 2017).

    .. math:: dx = \bar v(x)\,dt + \sqrt{h\,C(x)}\,dW

    with the mean :math:`\bar v` and the covariance C of the drawn fields, both taken over a fixed set of draws; solved by the
    Euler–Maruyama method of diffrax with a fraction of the map's own step.

    Args:
        step: A `Random` map without memory, with one step size.
        x: The point at the first time.
        ts: Times at which to keep the point, increasing.
        path: The key of the Brownian path.
        where: A lens to the step size; that of `step.map` if left out.
        draws: How many draws give mean and covariance.
        refinement: Solver steps for each step of the map.
        throw: Raise if the path leaves the finite numbers.

    Returns:
        A `Trajectory`.

    Raises:
        ValueError: A map with memory.
        RuntimeError: The path left the finite numbers (with `throw`).
    """
    step, x, times = _tree.system_arrays(step), _tree.state_arrays(x), _tree.real(ts)
    if has_memory(step.map, x):
        raise ValueError(
            f"diffuse takes a map without memory, whose state is its point; {type(step.map).__name__} has more. "
            "See `stationary` for its noise, or gd.SimGD for the flow's."
        )
    trajectory = _diffuse(step, x, times, jax.random.split(step.key, draws), where(step), path, refinement)
    check(trajectory.result, throw, "diffuse: ")
    return trajectory
