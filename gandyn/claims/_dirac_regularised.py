"""The Dirac-GAN regularised: instance noise, zero-centred gradient penalties and consensus optimisation.

After Mescheder, Geiger and Nowozin (2018), and some results beyond them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import ScalarLike
from scipy.integrate import quad
from scipy.optimize import root_scalar

import gandyn as gd

from ._claim import MESCHEDER, Claim, Measured
from ._dirac import (
    CURVATURE,
    ORIGIN,
    SLOPE,
    at_origin,
    draw_portraits,
    jacobian,
    log_sigmoid_slope,
    ours,
    pair,
    penalised,
    point,
    velocity_of,
)
from ._dirac_steps import IN_TURN, critical_step_by_search


def _collision(family: Callable[[float], gd.AbstractFlow], low: float, high: float) -> float:
    """The parameter at which the two eigenvalues of a family of flows collide, from the sign of their discriminant."""

    def discriminant(value: float) -> float:
        first, second = np.asarray(gd.stability(family(value), ORIGIN).eigenvalues)
        return ((first - second) ** 2).real

    return root_scalar(discriminant, bracket=(low, high), xtol=1e-14).root


def _noisy(sigma: ScalarLike) -> gd.AbstractGame:
    return gd.instance_noise(gd.games.dirac(), gd.Gaussian(0.0, sigma**2, order=64))


def _noise(sigma: float) -> dict[str, Any]:
    drift = CURVATURE * sigma**2
    values = pair(drift, drift**2 - SLOPE**2)
    return {
        "eigenvalues": values,
        "critical sigma": np.sqrt(abs(SLOPE / CURVATURE)),
        "critical step": -2 * drift / SLOPE**2 if -drift < SLOPE else 2 / np.max(np.abs(values)),
        "verdict": "stable",
    }


def _noise_computed(sigma: float) -> dict[str, Any]:
    game = _noisy(sigma)
    stability = gd.stability(game, ORIGIN)
    return {
        "eigenvalues": stability.eigenvalues,
        "critical sigma": _collision(_noisy, 0.5, 3.0),
        "critical step": gd.critical_step(gd.SimGD(game, 0.1), ORIGIN).value,
        "verdict": stability.verdict,
    }


def _draw_noise(rng: np.random.Generator) -> dict[str, float]:
    return {"sigma": float(rng.choice([rng.uniform(0.2, 1.3), rng.uniform(1.6, 3.0)]))}


def _figure_noise(ax: Any) -> None:
    _figure_descent(ax, _noisy(0.7), r"$\sigma = 0.7$")


def _figure_descent(ax: Any, flow: gd.AbstractFlow, name: str) -> None:
    draw_portraits(ax, flow, {f"SimGD, {name}": gd.iterate(gd.SimGD(flow, 0.2), ours(1.0, 1.0), 500)}, 2.2)


def _stein(sigma: float, theta: float, psi: float) -> dict[str, Any]:
    def curvature(e: float, shift: float) -> float:
        return -np.exp(-(e**2) / 2) / np.sqrt(2 * np.pi) / (4 * np.cosh(psi * (shift + sigma * e) / 2) ** 2)

    means = [quad(curvature, -12, 12, (shift,), epsabs=1e-14, epsrel=1e-13, limit=200)[0] for shift in (theta, 0.0)]
    return {"change of the squared radius": 2 * sigma**2 * psi**2 * sum(means)}


def _stein_computed(sigma: float, theta: float, psi: float) -> dict[str, Any]:
    return {"change of the squared radius": 2 * velocity_of(_noisy(sigma), theta, psi) @ [theta, psi]}


def _draw_stein(rng: np.random.Generator) -> dict[str, float]:
    return {"sigma": float(rng.uniform(0.2, 1.0)), **point(rng)}


def _penalty(gamma: float, theta: float, psi: float) -> dict[str, Any]:
    values = pair(-gamma / 2, gamma**2 / 4 - SLOPE**2)
    euler = gamma / SLOPE**2 if gamma <= 2 * SLOPE else 2 / np.max(np.abs(values))
    field = np.array([-psi, theta]) * log_sigmoid_slope(theta * psi) - np.array([0, gamma * psi])
    alternating = (-gamma + np.sqrt(gamma**2 + 4 * SLOPE**2)) / SLOPE**2
    return {
        "eigenvalues": values,
        "field with R1": field,
        "field with R2": field,
        "critical gamma": 2 * SLOPE,
        "critical step of SimGD, closed form": euler,
        "critical step of SimGD, general method": euler,
        "SimGD spectral radius there": 1.0,
        "critical step of AltGD": alternating,
        "AltGD multipliers there": np.array([-1, alternating * gamma - 1], complex),
    }


def _blur(there: gd.Stability, h: float) -> float:
    """How far the growth's error can move a critical step h of SimGD: the error over the growth's slope in h."""
    multipliers = np.asarray(there.eigenvalues)
    leading = multipliers[np.argmax(np.abs(multipliers))]
    return float(there.error) * h / abs(((leading - 1) / leading).real)


def _penalty_computed(gamma: float, theta: float, psi: float) -> dict[str, Any]:
    game = penalised(gamma)
    flow = gd.stability(game, ORIGIN)
    euler = float(gd.critical_step(gd.SimGD(game, 0.1), ORIGIN).value)
    there = gd.stability(gd.SimGD(game, euler), ORIGIN)
    blur = _blur(there, euler)
    alternating = critical_step_by_search(gd.AltGD(game, 0.1, order=IN_TURN))
    flip = np.asarray(jacobian(gd.AltGD(game, alternating, order=IN_TURN), ORIGIN))
    return {
        "eigenvalues": Measured(flow.eigenvalues, float(flow.error)),
        "field with R1": velocity_of(game, theta, psi),
        "field with R2": velocity_of(penalised(gamma, gd.r2), theta, psi),
        "critical gamma": _collision(penalised, 0.5, 2.0),
        "critical step of SimGD, closed form": Measured(euler, blur),
        "critical step of SimGD, general method": Measured(critical_step_by_search(gd.SimGD(game, 0.1)), blur),
        "SimGD spectral radius there": Measured(there.rate, float(there.error)),
        "critical step of AltGD": alternating,
        "AltGD multipliers there": np.linalg.eigvals(flip).astype(complex),
    }


def _draw_penalty(rng: np.random.Generator) -> dict[str, float]:
    return {"gamma": float(rng.uniform(0.1, 3)), **point(rng)}


def _draw_gamma(rng: np.random.Generator) -> dict[str, float]:
    return {"gamma": float(rng.uniform(0.1, 3))}


def _figure_penalty(ax: Any) -> None:
    gamma = np.linspace(0, 4 * SLOPE, 201)
    path = gd.sweep(at_origin, penalised(0.0), {"gamma": (lambda game: game.weight, gamma)}, progress=False)
    gd.plot.paths(path, ax=ax)


def _consensus(gamma: float) -> dict[str, Any]:
    return {
        "eigenvalues": pair(-gamma * SLOPE**2, -(SLOPE**2)),
        "critical step": 2 * gamma * SLOPE**2 / (gamma**2 * SLOPE**4 + SLOPE**2),
        "verdict": "stable",
    }


def _consensus_computed(gamma: float) -> dict[str, Any]:
    flow = gd.consensus(gd.games.dirac(), gamma)
    stability = gd.stability(flow, ORIGIN)
    return {
        "eigenvalues": stability.eigenvalues,
        "critical step": gd.critical_step(gd.SimGD(flow, 0.1), ORIGIN).value,
        "verdict": stability.verdict,
    }


def _figure_consensus(ax: Any) -> None:
    _figure_descent(ax, gd.consensus(gd.games.dirac(), 1.0), r"$\gamma = 1$")


def _gradient(theta: float, psi: float, factor: float = 1.0) -> dict[str, Any]:
    """The gradient of |v|^2/2 = r^2 f'(s)^2/2 at s = theta psi; the factor stands before the term with f''."""
    slope = log_sigmoid_slope(theta * psi)
    mixed = factor * (theta**2 + psi**2) * slope * -slope * (1 - slope)
    return {"gradient": np.array([theta * slope**2 + psi * mixed, psi * slope**2 + theta * mixed])}


def _gradient_literal(theta: float, psi: float) -> dict[str, Any]:
    return _gradient(theta, psi, 0.5)


def _gradient_computed(theta: float, psi: float) -> dict[str, Any]:
    game = gd.games.dirac()
    return {"gradient": velocity_of(game, theta, psi) - velocity_of(gd.consensus(game, 1.0), theta, psi)}


CLAIMS = (
    Claim(
        key="MD06",
        source=MESCHEDER,
        title="Instance noise makes the Dirac-GAN converge, without rotation from a critical standard deviation on",
        formula=r"\lambda = f''(0)\sigma^2 \pm \sqrt{f''(0)^2\sigma^4 - f'(0)^2}, \qquad \sigma_c^2 = |f'(0)/f''(0)|,"
        r" \qquad h_c = 2|f''(0)|\sigma^2/f'(0)^2 \ (\sigma \le \sigma_c)",
        predict=_noise,
        compute=_noise_computed,
        settings=({"sigma": 0.7}, {"sigma": 1.0}, {"sigma": 2.0}),
        draw=_draw_noise,
        published=(
            {"eigenvalues": np.array([-0.1225 - 0.484761539316j, -0.1225 + 0.484761539316j])},
            {"eigenvalues": np.array([-0.25 - 0.433012701892j, -0.25 + 0.433012701892j])},
            {"eigenvalues": np.array([-1.86602540378 + 0j, -0.133974596216 + 0j])},
        ),
        figure=_figure_noise,
    ),
    Claim(
        key="MD06b",
        source=MESCHEDER,
        title="Under instance noise the distance to the equilibrium falls everywhere: global convergence (beyond the paper)",
        formula=r"\frac{d r^2}{dt} = 2\sigma^2\psi^2\left(\mathbb E f''(\psi(\theta + \sigma e))"
        r" + \mathbb E f''(-\psi\sigma e)\right) \le 0, \quad e \sim N(0,1)",
        predict=_stein,
        compute=_stein_computed,
        settings=({"sigma": 0.7, "theta": 0.8, "psi": -1.1},),
        draw=_draw_stein,
        published=({"change of the squared radius": -0.490438270261},),
    ),
    Claim(
        key="MD07",
        source=MESCHEDER,
        title="Zero-centred gradient penalties: R1 and R2 alike make the Dirac-GAN converge, fastest at a critical gamma",
        formula=r"\dot\psi = \theta f'(\theta\psi) - \gamma\psi, \quad"
        r" \lambda = -\tfrac\gamma2 \pm \sqrt{\tfrac{\gamma^2}4 - f'(0)^2}, \quad \gamma_c = 2f'(0), \quad"
        r" h_c^{\rm Sim} = \gamma/f'(0)^2 \ (\gamma \le \gamma_c), \quad"
        r" h_c^{\rm Alt} = \frac{\sqrt{\gamma^2 + 4f'(0)^2} - \gamma}{f'(0)^2}, \text{ by a flip}",
        predict=_penalty,
        compute=_penalty_computed,
        settings=tuple({"gamma": gamma, "theta": 0.8, "psi": -1.1} for gamma in (0.3, 1.0, 2.5)),
        draw=_draw_penalty,
        published=(
            {
                "eigenvalues": np.array([-0.15 - 0.476969600708j, -0.15 + 0.476969600708j]),
                "critical step of SimGD, closed form": 1.2,
                "critical step of AltGD": 2.976122603564,
            },
            {"eigenvalues": np.array([-0.5 + 0j, -0.5 + 0j]), "critical step of AltGD": 1.656854249492},
            {
                "eigenvalues": np.array([-2.39564392374 + 0j, -0.104356076261 + 0j]),
                "critical step of SimGD, closed form": 0.834848610088,
                "critical step of AltGD": 0.770329614269,
            },
        ),
        figure=_figure_penalty,
    ),
    Claim(
        key="MD08",
        source=MESCHEDER,
        title="Consensus optimisation makes the Dirac-GAN converge without slowing its rotation",
        formula=r"\lambda = -\gamma f'(0)^2 \pm i f'(0), \qquad h_c = \frac{2\gamma f'(0)^2}{\gamma^2 f'(0)^4 + f'(0)^2}",
        predict=_consensus,
        compute=_consensus_computed,
        settings=({"gamma": 1.0},),
        draw=_draw_gamma,
        published=({"eigenvalues": np.array([-0.25 - 0.5j, -0.25 + 0.5j]), "critical step": 1.6},),
        figure=_figure_consensus,
    ),
    Claim(
        key="MD08b",
        source=MESCHEDER,
        title="The gradient of the consensus regulariser away from the equilibrium",
        formula=r"\nabla\tfrac12|v|^2 = (\theta f'^2 + \psi r^2 f'f'',\ \psi f'^2 + \theta r^2 f'f'')",
        predict=_gradient,
        compute=_gradient_computed,
        settings=({"theta": 1.0, "psi": 0.5},),
        draw=point,
        published=({"gradient": np.array([0.0870847949249, -0.039635845045])},),
        literal=_gradient_literal,
        correction="The authors' public notebook multiplies the second term of each component by one half; the factor is one. "
        "The linearisation at the equilibrium is not affected.",
    ),
)
