"""True limit cycles of the Dirac-GAN, and the invariant circle of its training; in the paper's sign."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Scalar
from scipy.integrate import solve_ivp
from scipy.optimize import root_scalar

import gandyn as gd

from ._claim import MESCHEDER, Claim, Measured
from ._dirac import ORIGIN, log_sigmoid_slope, ours, penalised
from ._methods import PACKAGE
from ._orbits import gradient_penalised

# A turn takes a hundred steps, each with a relative error of 1e-12.
_TURN = 1e-9


def measured(value: Any, relative: float = _TURN) -> Measured:
    """A value of an integration over a turn."""
    return Measured(value, relative * float(np.max(np.abs(value))))


def half_turn(field: Callable, theta: float) -> tuple[float, float]:
    """Where and when an orbit from (theta, 0) is at psi = 0 again, by SciPy, which sees one side of the kink only."""

    def landing(t: float, x: np.ndarray) -> float:
        return x[1] if t > 0 else 1.0

    landing.terminal, landing.direction = True, -1  # type: ignore[attr-defined]
    found = solve_ivp(field, (0.0, 100.0), np.array([theta, 0.0]), "DOP853", events=landing, rtol=1e-13, atol=1e-14)
    return float(found.y_events[0][0][0]), float(found.t_events[0][0])


def symmetric_cycle(field: Callable, low: float, high: float) -> tuple[float, float]:
    """The theta at psi = 0 and the period of a cycle that half a turn takes to its mirror image."""
    theta = root_scalar(lambda start: half_turn(field, start)[0] + start, bracket=(low, high), xtol=1e-13).root
    return theta, 2 * half_turn(field, theta)[1]


def _penalty(lam: float, g0: float) -> dict[str, Any]:
    w = np.sqrt(1 - lam**2 / 4)
    turning = lam * g0 / np.tanh(lam * np.pi / (4 * w))
    return {"period": 2 * np.pi / w, "turning point": turning, "multiplier": np.exp(-lam * np.pi / w), "verdict": "stable"}


def _penalty_literal(lam: float, g0: float) -> dict[str, Any]:
    period = _penalty(lam, g0)["period"]
    return {"multiplier": np.exp(-lam * period)}


AXIS = gd.Section(lambda x: x.discriminator, 0)


def _turning(game: gd.AbstractFlow, found: Any) -> Scalar:
    return jnp.abs(gd.crossings(game, found.state, AXIS).xs.generator)[0]


def _penalty_computed(lam: float, g0: float) -> dict[str, Any]:
    game = gradient_penalised(lam, g0)
    found = gd.cycle(game, ours(0.0, 1.5 * g0))
    return {
        "period": measured(found.period),
        "turning point": measured(_turning(game, found)),
        "multiplier": Measured(found.multipliers[0].real, 1e-7 * float(abs(found.multipliers[0]))),
        "verdict": found.verdict,
    }


def _logistic(lam: float, k: float) -> dict[str, Any]:
    def field(t: float, x: np.ndarray) -> list[float]:
        slope = log_sigmoid_slope(x[0] * x[1])
        return [-x[1] * slope, x[0] * slope - lam * (x[1] - k)]

    theta, period = symmetric_cycle(field, 0.3, 3.0)
    return {"theta at psi = 0": theta, "period": period, "verdict": "stable"}


def _logistic_game(lam: float, k: float) -> gd.Penalised:
    return penalised(lam, gd.gradient_penalty(k, gd.two_sided, gd.on_real))


def _logistic_computed(lam: float, k: float) -> dict[str, Any]:
    game = _logistic_game(lam, k)
    found = gd.cycle(game, ours(0.0, 1.5 * k))
    return {
        "theta at psi = 0": measured(_turning(game, found)),
        "period": measured(found.period),
        "verdict": found.verdict,
    }


@functools.cache
def van_der_pol(mu: float) -> tuple[float, float, float]:
    """The period, the amplitude and the multiplier of the cycle, by SciPy, from half of it and its divergence."""

    def field(t: float, x: np.ndarray) -> list[float]:
        # In the coordinates of Liénard, x second.
        return [-x[1], x[0] + mu * (x[1] - x[1] ** 3 / 3)]

    theta, period = symmetric_cycle(field, 0.5, 4.0)

    def with_divergence(t: float, x: np.ndarray) -> list[float]:
        return [*field(t, x[:2]), mu * (1 - x[1] ** 2)]

    def top(t: float, x: np.ndarray) -> float:
        return x[0] + mu * (x[1] - x[1] ** 3 / 3)

    start = np.array([theta, 0.0, 0.0])
    half = solve_ivp(with_divergence, (0, period / 2), start, "DOP853", events=top, rtol=1e-13, atol=1e-14)
    return period, float(np.max(half.y_events[0][:, 1])), float(np.exp(2 * half.y[2, -1]))


def _oscillator(mu: float) -> dict[str, Any]:
    period, amplitude, multiplier = van_der_pol(mu)
    return {"period": period, "amplitude": amplitude, "multiplier": multiplier}


def _oscillator_computed(mu: float) -> dict[str, Any]:
    flow = gd.textbook.VanDerPol(mu)
    found = gd.cycle(flow, jnp.array([2.0, 0.0]))
    top = gd.crossings(flow, found.state, gd.Section(lambda x: x[1], -1)).xs[0, 0]
    return {
        "period": measured(found.period),
        "amplitude": measured(top),
        "multiplier": Measured(found.multipliers[0].real, 1e-7 * float(abs(found.multipliers[0]))),
    }


def _quartic(lam: float, g0: float) -> dict[str, Any]:
    period, amplitude, multiplier = van_der_pol(lam * g0**2)
    return {"period": period, "largest psi": g0 / np.sqrt(3) * amplitude, "multiplier": multiplier}


class _Velocity(eqx.Module):
    game: gd.AbstractGame

    def __call__(self, x: gd.Players) -> Scalar:
        return self.game(x).discriminator


def _quartic_computed(lam: float, g0: float) -> dict[str, Any]:
    game = gradient_penalised(lam, g0, gd.quartic)
    found = gd.cycle(game, ours(0.0, 1.2 * g0))
    top = gd.crossings(game, found.state, gd.Section(_Velocity(game), 0)).xs.discriminator[0]
    return {
        "period": measured(found.period),
        "largest psi": measured(jnp.abs(top)),
        "multiplier": Measured(found.multipliers[0].real, 1e-7 * float(abs(found.multipliers[0]))),
    }


def _invariant(gamma: float, h: float) -> dict[str, Any]:
    step = np.array([[1, -h / 2], [h / 2, 1 - h * gamma]])
    values, vectors = np.linalg.eig(step)
    mu, q = values[0], vectors[:, 0]
    p = np.linalg.inv(vectors)[0]
    # The coefficients of z^2 conj(z) in theta psi^2 and theta^2 psi at z q + conj.
    cubic = np.array(
        [2 * q[0] * abs(q[1]) ** 2 + q[0].conj() * q[1] ** 2, -(2 * q[1] * abs(q[0]) ** 2 + q[1].conj() * q[0] ** 2)]
    )
    coefficient = (p @ cubic * h / 4 / mu).real
    square = -2 * np.linalg.norm(q) ** 2 * np.log(abs(mu)) / coefficient
    return {"character": "supercritical", "mean r^2 / (h - h_c)": square / (h - 4 * gamma), "circle": "attracting"}


def _invariant_computed(gamma: float, h: float) -> dict[str, Any]:
    step, critical = gd.SimGD(penalised(gamma), h), 4 * gamma
    found = gd.invariant_circle(step, gd.Players(0.1, 0.0))
    return {
        "character": gd.normal_form(gd.SimGD(penalised(gamma), critical), ORIGIN).character,
        # The next term of the normal form is smaller by r^2.
        "mean r^2 / (h - h_c)": measured(found.radius**2 / (h - critical), float(found.radius**2)),
        "circle": found.verdict,
    }


def _portrait(game: gd.AbstractGame, size: float, starts: tuple[gd.Players, ...], ax: Any) -> None:
    box = (ours(-size, size), ours(size, -size))
    gd.plot.portrait(game, box, starts=starts, horizon=30.0, equilibria=False, ax=ax)


CLAIMS = (
    Claim(
        key="MD11",
        source=MESCHEDER,
        title="WGAN-GP with a weight below two does not converge on the Dirac-GAN: it ends on a limit cycle, in closed form",
        formula=r"T = \frac{2\pi}w,\quad |\theta|_{\psi=0} = \lambda g_0 \coth\frac{\lambda\pi}{4w},\quad"
        r" \mu = e^{-\lambda\pi/w}, \qquad w = \sqrt{1 - \lambda^2/4}",
        predict=_penalty,
        compute=_penalty_computed,
        settings=({"lam": 0.7, "g0": 1.0}, {"lam": 1.0, "g0": 0.3}, {"lam": 1.5, "g0": 2.0}),
        draw=lambda rng: {"lam": float(rng.uniform(0.3, 1.6)), "g0": float(rng.uniform(0.3, 2.0))},
        published=(
            {"period": 6.707432421693, "turning point": 1.326605205306},
            {"period": 7.255197456937, "turning point": 0.416874600074},
            {"period": 9.499283293790, "turning point": 3.175224729581},
        ),
        figure=lambda ax: _portrait(gradient_penalised(0.7, 1.0), 2.2, (ours(0.0, 0.4), ours(2.0, 0.0)), ax),
    ),
    Claim(
        key="MD17",
        source=PACKAGE,
        title="The WGAN with a quartic penalty on the Dirac-GAN is the van der Pol oscillator",
        formula=r"x = \sqrt3\,\psi/g_0: \quad \ddot x = \mu(1 - x^2)\dot x - x, \qquad \mu = \lambda g_0^2",
        predict=_quartic,
        compute=_quartic_computed,
        settings=({"lam": 1.0, "g0": 1.3},),
        draw=lambda rng: {"lam": float(rng.uniform(0.3, 1.2)), "g0": float(rng.uniform(0.6, 1.2))},
        published=({"period": 7.2898273311, "largest psi": 1.51408215004},),
        figure=lambda ax: _portrait(gradient_penalised(1.0, 1.3, gd.quartic), 2.5, (ours(0.0, 0.1), ours(2.2, 0.0)), ax),
    ),
    Claim(
        key="MD18",
        source=PACKAGE,
        title="The van der Pol oscillator itself, beside an independent integration",
        formula=r"\ddot x = \mu(1 - x^2)\dot x - x, \qquad \mu = 1",
        predict=_oscillator,
        compute=_oscillator_computed,
        settings=({"mu": 1.0}, {"mu": 0.3}),
        published=({"period": 6.663286859323, "amplitude": 2.00861986087},),
    ),
    Claim(
        key="MD20",
        source=PACKAGE,
        title="Beyond its critical step simultaneous descent with R1 ends on an attracting invariant circle",
        formula=r"\overline{r^2} = -2\lVert q\rVert^2\,\frac{\log|\mu|}{{\rm Re}\,c}, \qquad c = \tfrac h{4\mu}\,"
        r"p^T\!\left(2q_1|q_2|^2 + \bar q_1 q_2^2,\; -2q_2|q_1|^2 - \bar q_2 q_1^2\right)",
        predict=_invariant,
        compute=_invariant_computed,
        settings=({"gamma": 0.3, "h": 1.205}, {"gamma": 0.3, "h": 1.21}),
        published=({}, {"mean r^2 / (h - h_c)": 3.64116258692}),
    ),
    Claim(
        key="MD26",
        source=PACKAGE,
        title="The Dirac-GAN with a penalty around a slope, as DRAGAN's, ends on a limit cycle",
        formula=r"\dot\theta = -\psi f'(\theta\psi), \quad \dot\psi = \theta f'(\theta\psi) - \lambda(|\psi| - k)\,"
        r"{\rm sign}\,\psi",
        predict=_logistic,
        compute=_logistic_computed,
        settings=({"lam": 0.5, "k": 0.6},),
        published=({"theta at psi = 0": 0.816895945264, "period": 14.5296131033},),
        figure=lambda ax: _portrait(_logistic_game(0.5, 0.6), 1.6, (ours(0.0, 0.3), ours(1.5, 0.0)), ax),
    ),
)
