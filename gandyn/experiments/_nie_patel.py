"""Nie and Patel (2019): simultaneous descent, consensus and JARE on an isotropic Gaussian and on the ring."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key, PyTree

import gandyn as gd
from gandyn.training import Batches, Every, Spectrum

from ..claims._claim import NIE_PATEL
from ._experiment import Effect, Experiment, Run, Setting, Start
from ._numerics import Formulation, consensus, plain, simultaneous
from ._players import DISTANCE, MODES, MOVING, QUALITY, deep, keys, number, samples


def _jare(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.jare(gan, number(gan, setting.gamma))


_ARMS: dict[str, Formulation] = {"plain": plain, "consensus": consensus, "jare": _jare}


def _on_the_ring(formulation: Formulation) -> Callable[[Setting, int, Any], Start]:
    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        real = gd.training.ring(8, 2.0, 0.06, dtype=dtype)
        law = jax.nn.initializers.glorot_uniform()
        gan, point = deep(real, setting, seed, dtype, gd.objectives.minimax, law, std=2.0)
        return simultaneous(formulation(gan, setting), point, setting, seed)

    return build


RING_JARE = Experiment(
    key="ring-jare",
    source=NIE_PATEL,
    title="The ring of 8 Gaussians: simultaneous descent, consensus and JARE",
    text="Eight Gaussians of standard deviation 0.06 on a circle of radius 2; both players have hidden layers of "
    "rectified units and Glorot's weights; the latent points have deviation 2; RMSProp moves both at once, on the saturating "
    "zero-sum objective. Both regularisers have gamma = 10, that of the paper's figure. The authors draw as many points of "
    "every mode, here their number varies. The small setting has smaller networks, and steps ten times as large.",
    arms={name: _on_the_ring(formulation) for name, formulation in _ARMS.items()},
    small=Setting(4000, (0, 1, 2), {"width": 32, "depth": 3, "latent": 16, "batch": 128, "rate": 1e-3, "gamma": 10.0}),
    full=Setting(20_000, (0, 1, 2), {"width": 256, "depth": 4, "latent": 64, "batch": 128, "rate": 1e-4, "gamma": 10.0}),
    effects=(
        MODES("jare", "plain"),
        QUALITY("jare", "plain"),
        DISTANCE("plain", "jare"),
        DISTANCE("consensus", "jare"),
        MOVING("plain", "jare"),
    ),
    curves=("modes_covered", "high_quality", "wasserstein2", "gradient.generator"),
    figure=samples,
)


_MEAN = (0.0, 2.0)


class Displacement(eqx.Module):
    """Where the linear GAN is, seen from its equilibrium: `across` and `along` the data's mean, and the `distance`.

    The linearisation leaves both planes to themselves; each has a coordinate of the generator, then one of the discriminator.

    Args:
        mean: That of the data, on the second axis.
    """

    mean: Float[Array, " 2"]

    def __call__(self, step: gd.AbstractMap, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """The displacements at a state."""
        point = step.point(state)
        across, along = jnp.stack([point.generator - self.mean, point.discriminator], axis=1)
        return {"across": across, "along": along, "distance": jnp.hypot(*map(jnp.linalg.norm, (across, along)))}


def eigenvalues(run: Run, plane: str) -> Complex[np.ndarray, " 2"]:
    """Both eigenvalues of a plane as they are seen in a run: those of the linear map from one measured point to the next.

    What mini-batches add is independent from step to step, so that least squares tell the map also at the noise's level.
    """
    curve = run.training.curves[plane]
    points, steps = np.asarray(curve.values, float), np.asarray(curve.steps)
    transfer = np.linalg.lstsq(points[:-1], points[1:])[0]
    lapse = float(steps[1] - steps[0]) * float(run.start.step.time())
    values = np.asarray(np.linalg.eigvals(transfer), complex)
    return np.log(values) / lapse


def _rotation(run: Run) -> float:
    return float(np.max(np.abs(np.imag(eigenvalues(run, "across")))))


def _rate(run: Run) -> float:
    return float(np.min(-np.real(eigenvalues(run, "along"))))


def _isotropic(formulation: Formulation) -> Callable[[Setting, int, Any], Start]:
    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        mean = jnp.asarray(_MEAN, dtype)
        gan = gd.games.linear(gd.objectives.minimax, mean, jnp.asarray(0.7, dtype))
        away = jnp.full(2, 0.05, dtype)
        step = gd.SimGD(formulation(gan, setting), jnp.asarray(setting.rate, dtype))
        often, rarely = max(1, setting.steps // 150), max(1, setting.steps // 2)
        metrics = Every(often, Displacement(mean)), Every(rarely, Spectrum(gd.Dense()))
        return Start(gd.Random(step, Batches(setting.batch), keys(seed)[2]), gd.Players(mean + away, away), metrics)

    return build


def _prediction(run: Run, ax: Any) -> Any:
    """The distance from equilibrium, beside that of the linearised flow without noise."""
    curve = run.training.curves["distance"]
    time = np.asarray(curve.steps) * float(run.start.step.time())
    ax.semilogy(time, curve.values, label="mini-batches")
    ax.semilogy(time, predicted(run, time), "--", label="linearised flow")
    ax.set(xlabel="time", ylabel="distance from equilibrium")
    ax.legend()
    return ax


def predicted(run: Run, time: np.ndarray) -> np.ndarray:
    """The distances from equilibrium that the flow linearised there, without noise, has at some times."""
    step: Any = run.start.step
    mean = jnp.asarray(_MEAN, run.start.point.generator.dtype)
    matrix = np.asarray(gd.linearize(step.map.flow, gd.Players(mean, jnp.zeros_like(mean))).as_matrix(), float)
    away = np.concatenate([run.start.point.generator - mean, run.start.point.discriminator])
    values, vectors = np.linalg.eig(matrix)
    orbit = (np.exp(np.outer(time, values)) * np.linalg.solve(vectors, away.astype(complex))) @ vectors.T
    return np.linalg.norm(orbit, axis=1)


_ISOTROPIC = {"batch": 128, "rate": 1e-3, "gamma": 10.0}

ISOTROPIC = Experiment(
    key="isotropic",
    source=NIE_PATEL,
    title="An isotropic Gaussian: the rate and the rotation of simultaneous descent, consensus and JARE",
    text="Data N((0, 2), 0.49 I), a generator that shifts a normal law of the same variance, and a linear discriminator; "
    "simultaneous gradient descent by steps of 0.001, the regularisers with gamma = 10. Both settings are the authors'. Rate "
    "and rotation are those of the linear map that takes the players from one measured point to the next.",
    arms={name: _isotropic(formulation) for name, formulation in _ARMS.items()},
    small=Setting(15_000, (0, 1, 2), _ISOTROPIC),
    full=Setting(15_000, (0, 1, 2), _ISOTROPIC),
    effects=(
        Effect("frequency of the rotation across the mean, per unit of time", _rotation, "plain", "jare"),
        Effect("rate of the slower mode along the mean, per unit of time", _rate, "jare", "consensus"),
        Effect("rate of the slower mode along the mean, per unit of time", _rate, "consensus", "plain"),
    ),
    curves=("distance",),
    figure=_prediction,
)
