"""How fast regularised descent converges on the Dirac-GAN, and how much faster than expected it can be.

After Mescheder, Geiger and Nowozin (2018), and some results beyond them.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, Scalar, ScalarLike
from scipy.optimize import root_scalar

import gandyn as gd

from ._claim import MESCHEDER, Claim, Measured
from ._dirac import ORIGIN, SLOPE, at_origin, jacobian, ours, penalised, point, theirs
from ._dirac_steps import IN_TURN, jordan_norm, power_norm


@eqx.filter_jit
def _slope_of_growth(game: gd.AbstractGame, h: ScalarLike) -> Scalar:
    return jax.grad(lambda step: at_origin(gd.SimGD(game, step)).growth)(h)


def _rate(gamma: float, h: float) -> dict[str, Any]:
    return {
        "rate": np.sqrt(1 - h * gamma + h**2 * SLOPE**2),
        "best step": gamma / (2 * SLOPE**2),
        "best rate": np.sqrt(1 - gamma**2 / (4 * SLOPE**2)),
    }


def _rate_computed(gamma: float, h: float) -> dict[str, Any]:
    game = penalised(gamma)
    best = root_scalar(lambda step: float(_slope_of_growth(game, np.asarray(step))), bracket=(0.01, 4.0), xtol=1e-14).root
    return {
        "rate": gd.stability(gd.SimGD(game, h), ORIGIN).rate,
        "best step": best,
        "best rate": gd.stability(gd.SimGD(game, best), ORIGIN).rate,
    }


def _draw_rate(rng: np.random.Generator) -> dict[str, float]:
    return {"gamma": float(rng.uniform(0.1, 0.9)), "h": float(rng.uniform(0.05, 1.5))}


def _figure_rate(ax: Any) -> None:
    gamma, h = np.linspace(0.01, 3.0, 151), np.linspace(0.02, 5.0, 151)
    chart = gd.sweep(
        at_origin,
        gd.SimGD(penalised(1.0), 1.0),
        {"gamma": (lambda step: step.flow.weight, gamma), "h": (lambda step: step.h, h)},
        progress=False,
    )
    root = np.sqrt(np.maximum(gamma**2 / 4 - SLOPE**2, 0))
    critical = np.where(gamma < 2 * SLOPE, gamma / SLOPE**2, 2 / (gamma / 2 + root))
    gd.plot.chart(chart, curves={"closed form": (gamma, critical)}, ax=ax)


def _defective(h: float, power: int) -> dict[str, Any]:
    rate = 1 - h * SLOPE
    coupling = 2 * power * h * SLOPE / rate
    return {"rate": rate, "norm of the power": rate**power * jordan_norm(coupling), "verdict": "stable"}


def _defective_literal(h: float, power: int) -> dict[str, Any]:
    return {"norm of the power": (1 - h * SLOPE) ** power}


def _defective_computed(h: float, power: int) -> dict[str, Any]:
    step = gd.SimGD(penalised(2 * SLOPE), h)
    stability = gd.stability(step, ORIGIN)
    return {
        "rate": Measured(stability.rate, float(stability.rate * stability.error)),
        "norm of the power": power_norm(step, power),
        "verdict": stability.verdict,
    }


def _draw_defective(rng: np.random.Generator) -> dict[str, Any]:
    return {"h": float(rng.uniform(0.05, 1.5)), "power": int(rng.integers(2, 100))}


def _deadbeat(theta: float, psi: float) -> dict[str, Any]:
    gap = theta - psi
    return {
        "SimGD squared": np.zeros((2, 2)),
        "AltGD squared": np.zeros((2, 2)),
        "SimGD cubic part": theta * psi * (theta + psi) / 2 * np.array([1, 1]) + gap**3 / 2 * np.array([1, -1]),
        "AltGD cubic part": theta * gap**2 / 2 * np.array([1, 1]),
        "quadratic parts": np.zeros(4),
    }


def _along(f: Callable, t: Scalar) -> PyTree:
    """A function of a number with its derivative."""
    return jax.jvp(f, (t,), (jnp.ones_like(t),))


@eqx.filter_jit
def _taylor(step: gd.AbstractMap, direction: gd.Players) -> tuple[gd.Players, gd.Players]:
    """The second and third Taylor coefficient, along a direction, of two applications of a map at the origin."""

    def twice(t: Scalar) -> gd.Players:
        return step(step(jax.tree.map(lambda d: t * d, direction)))

    first = functools.partial(_along, twice)
    second = functools.partial(_along, first)
    (_, (_, curvature)), (_, (_, third)) = _along(second, jnp.zeros_like(direction.generator))
    return jax.tree.map(lambda c: c / 2, curvature), jax.tree.map(lambda c: c / 6, third)


def _deadbeat_steps() -> dict[str, gd.AbstractMap]:
    h = 1 / SLOPE
    return {"SimGD": gd.SimGD(penalised(2 * SLOPE), h), "AltGD": gd.AltGD(penalised(SLOPE), h, order=IN_TURN)}


def _deadbeat_computed(theta: float, psi: float) -> dict[str, Any]:
    values, quadratic = {}, []
    for name, step in _deadbeat_steps().items():
        second, third = _taylor(step, ours(np.asarray(theta), np.asarray(psi)))
        matrix = np.asarray(jacobian(step, ORIGIN))
        values |= {f"{name} squared": matrix @ matrix, f"{name} cubic part": theirs(third)}
        quadratic.append(theirs(second))
    return {**values, "quadratic parts": np.concatenate(quadratic)}


def _figure_deadbeat(ax: Any) -> None:
    steps = {**_deadbeat_steps(), "SimGD, h = 1": gd.SimGD(penalised(2 * SLOPE), 1 / SLOPE / 2)}
    for name, step in steps.items():
        orbit = theirs(gd.iterate(step, ours(0.3, 0.2), 6).xs)
        ax.semilogy(np.linalg.norm(orbit, axis=0), "o-", label=name)
    ax.set_xlabel("step")
    ax.set_ylabel("distance to the equilibrium")
    ax.legend()


CLAIMS = (
    Claim(
        key="MD22",
        source=MESCHEDER,
        title="The linear rate of simultaneous descent with R1, and the step size that is best for it",
        formula=r"|\mu|^2 = 1 - h\gamma + h^2 f'(0)^2 \ (\gamma < 2f'(0)), \qquad h_{\rm best} = \frac{\gamma}{2f'(0)^2},"
        r" \quad |\mu|_{\rm best}^2 = 1 - \frac{\gamma^2}{4f'(0)^2}",
        predict=_rate,
        compute=_rate_computed,
        settings=({"gamma": 0.3, "h": 0.2}, {"gamma": 0.6, "h": 0.5}),
        draw=_draw_rate,
        published=({"rate": 0.974679434481}, {"rate": 0.873212459829}),
        figure=_figure_rate,
    ),
    Claim(
        key="MD22b",
        source=MESCHEDER,
        title="At the critical gamma the multiplier of descent with R1 is defective: errors shrink like k rate^k",
        formula=r"\mu = \rho = 1 - hf'(0) \text{ twice}, \qquad \lVert M^k \rVert = \tfrac12\rho^k"
        r"\left(c + \sqrt{c^2 + 4}\right), \quad c = 2khf'(0)/\rho",
        predict=_defective,
        compute=_defective_computed,
        settings=({"h": 0.2, "power": 50},),
        draw=_draw_defective,
        literal=_defective_literal,
        correction="Multipliers of modulus at most rho < 1 give errors of order q^k for every q > rho, not of order rho^k: "
        "at gamma = 2f'(0) the error carries a factor k.",
    ),
    Claim(
        key="MD23",
        source=MESCHEDER,
        title="Two settings at which both multipliers vanish: the error is cubed every two steps (beyond the paper)",
        formula=r"\text{SimGD: } \gamma = 2f'(0),\ \text{AltGD: } \gamma = f'(0),\ h = 1/f'(0): \quad M^2 = 0, \quad"
        r" F(F(x)) = C(x) + O(|x|^5), \quad C_{\rm Sim} = \tfrac12\theta\psi(\theta+\psi)(1,1) + \tfrac12(\theta-\psi)^3(1,-1),"
        r" \quad C_{\rm Alt} = \tfrac12\theta(\theta-\psi)^2(1,1)",
        predict=_deadbeat,
        compute=_deadbeat_computed,
        settings=({"theta": 0.01, "psi": 0.007},),
        draw=point,
        published=({"SimGD squared": np.zeros((2, 2)), "AltGD squared": np.zeros((2, 2))},),
        figure=_figure_deadbeat,
    ),
)
