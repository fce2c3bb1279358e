"""Step sizes and numbers of steps of the linear GAN, from its phase and conditioning factors (Nie and Patel, 2019)."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import gandyn as gd

from ._claim import NIE_PATEL, Claim


def _phase(s: float) -> dict[str, Any]:
    zeta = np.sqrt(4 - s**2) / s
    rate = np.sqrt(1 - s**2 / 4)
    count = 2 * np.log(1e6) / np.log1p(1 / zeta**2)
    return {"zeta": zeta, "critical step": 4 / np.sqrt(1 + zeta**2), "best rate": rate, "iterations for 1e-6": count}


def _factors(s: float, step: float) -> tuple[gd.Stability, Any, gd.Stability]:
    mean = jnp.zeros((1,))
    game = gd.games.linear(mean=mean, sigma=s**0.5)
    x = gd.Players(mean, mean)
    return gd.stability(game, x), gd.critical_step(gd.SimGD(game, step), x).value, gd.stability(gd.SimGD(game, step), x)


def _phase_computed(s: float) -> dict[str, Any]:
    flow, critical, best = _factors(s, s)
    count = best.iterations(1e6)
    return {"zeta": flow.zeta, "critical step": critical, "best rate": best.rate, "iterations for 1e-6": count}


NP05 = Claim(
    "NP05",
    NIE_PATEL,
    "Complex eigenvalues: the number of steps grows with the square of the phase factor",
    r"0 < \eta < \frac4{\sqrt{1+\zeta^2}}, \quad N \ge \frac{2\log F}{\log(1 + 1/\zeta^2)}, \quad "
    r"\zeta = \frac{\sqrt{4 - s^2}}s",
    _phase,
    _phase_computed,
    ({"s": 0.49},),
    lambda rng: {"s": float(rng.uniform(0.2, 1.5))},
    published=({"zeta": 3.957237055641, "critical step": 0.98, "best rate": 0.969523078632},),
)


def _conditioning(s: float) -> dict[str, Any]:
    tau = (s + np.sqrt(s**2 - 4)) ** 2 / 4
    return {"tau": tau, "critical step": 4 / np.sqrt(tau), "sharp rate": (tau - 1) / (tau + 1)}


def _conditioning_computed(s: float) -> dict[str, Any]:
    flow, critical, best = _factors(s, 4 / s)
    return {"tau": flow.tau, "critical step": critical, "sharp rate": best.rate}


NP06 = Claim(
    "NP06",
    NIE_PATEL,
    "Real eigenvalues: the number of steps grows with the conditioning factor",
    r"0 < \eta < \frac4{\sqrt\tau}, \quad \tau = \tfrac14\bigl(s + \sqrt{s^2-4}\bigr)^2, \quad "
    r"\rho = \frac{\tau-1}{\tau+1} \text{ at } \eta = \tfrac4s",
    _conditioning,
    _conditioning_computed,
    ({"s": 4.49},),
    lambda rng: {"s": float(rng.uniform(2.5, 6.0))},
    published=({"tau": 18.104866230955, "critical step": 0.940074627212, "sharp rate": 0.895314629486},),
    literal=lambda s: {"sharp rate": 1 - 2 / ((s + np.sqrt(s**2 - 4)) ** 2 / 4)},
    correction="The bound with $1 - 2/\\tau$ is valid but loose: the sharp rate at the best step is $(\\tau-1)/(\\tau+1)$.",
)


def _joint(v: float, sigma: float) -> dict[str, Any]:
    def largest(s: float) -> float:
        return 2 * s if s <= 2 else 8 / (s + np.sqrt(s**2 - 4))

    return {"critical step": min(largest(sigma**2), largest(sigma**2 + v**2))}


def _joint_computed(v: float, sigma: float) -> dict[str, Any]:
    mean = jnp.asarray([0.0, v])
    step = gd.SimGD(gd.games.linear(mean=mean, sigma=sigma), 0.1)
    return {"critical step": gd.critical_step(step, gd.Players(mean, jnp.zeros(2))).value}


NP07 = Claim(
    "NP07",
    NIE_PATEL,
    "Both factors at once bound the step of the linear GAN",
    r"\eta_{\max} = \min_{s \in \{\sigma^2, \beta^2\}} \begin{cases} 2s & s \le 2 \\ 8/(s + \sqrt{s^2-4}) & s > 2 \end{cases}",
    _joint,
    _joint_computed,
    ({"v": 2.0, "sigma": 0.7},),
    lambda rng: {"v": float(rng.uniform(0.5, 3)), "sigma": float(rng.uniform(0.5, 1.6))},
    published=({"critical step": 0.940074627212},),
)

CLAIMS = (NP05, NP06, NP07)
