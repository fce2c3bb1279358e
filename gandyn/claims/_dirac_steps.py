"""Gradient steps on the Dirac-GAN: what simultaneous and alternating descent do, how fast, and up to which step size.

After Mescheder, Geiger and Nowozin (2018) and Mescheder, Nowozin and Geiger (2017), and some results beyond them.
"""

from typing import Any

import numpy as np
import optimistix as optx

import gandyn as gd

from ._claim import MESCHEDER, NUMERICS, Claim, Measured
from ._dirac import ORIGIN, SLOPE, at_origin, draw_portraits, jacobian, log_sigmoid_slope, ours, pair, point, theirs

IN_TURN = ("generator", "discriminator")


def critical_step_by_search(step: gd.AbstractMap) -> float:
    """The critical step size at the origin by the general method, which also holds where there is no closed form.

    At a defective multiplier rounding leaves a band without a verdict, and its middle is meant.
    """
    newton = optx.Newton(rtol=1e-12, atol=1e-12)
    return float(np.mean(gd.threshold(step, lambda s: s.h, ORIGIN, (0.01, 100.0), solver=newton).values))


def jordan_norm(coupling: float) -> float:
    """The spectral norm of the matrix with rows (1, c) and (0, 1)."""
    return (coupling + np.sqrt(coupling**2 + 4)) / 2


def power_norm(step: gd.AbstractMap, power: int) -> float:
    """The spectral norm of a power of a map's Jacobian at the origin."""
    return float(np.linalg.norm(np.linalg.matrix_power(np.asarray(jacobian(step, ORIGIN)), power), 2))


def _euler(h: float, theta: float, psi: float) -> dict[str, Any]:
    return {
        "multipliers": pair(1, -((h * SLOPE) ** 2)),
        "modulus": np.sqrt(1 + h**2 * SLOPE**2),
        "squared radius after a step": (theta**2 + psi**2) * (1 + h**2 * log_sigmoid_slope(theta * psi) ** 2),
        "verdict": "unstable",
    }


def _euler_computed(h: float, theta: float, psi: float) -> dict[str, Any]:
    step = gd.SimGD(gd.games.dirac(), h)
    stability = gd.stability(step, ORIGIN)
    return {
        "multipliers": stability.eigenvalues,
        "modulus": stability.rate,
        "squared radius after a step": np.sum(theirs(gd.iterate(step, ours(theta, psi), 1).final) ** 2),
        "verdict": stability.verdict,
    }


def _draw_euler(rng: np.random.Generator) -> dict[str, float]:
    return {"h": float(rng.uniform(0.05, 2)), **point(rng)}


def _alternating(h_g: float, h_d: float, n_g: int, n_d: int) -> dict[str, Any]:
    square = n_g * n_d * h_g * h_d * SLOPE**2
    middle = 1 - square / 2
    return {"multipliers": pair(middle, middle**2 - 1), "determinant": 1.0, "verdict": "marginal" if square < 4 else "unstable"}


def _alternation(h_g: float, h_d: float, n_g: int = 1, n_d: int = 1) -> gd.AltGD:
    step = gd.Players(h_g, h_d)
    return gd.AltGD(gd.games.dirac(), step, order=IN_TURN, steps=(n_g, n_d))


def _alternating_computed(h_g: float, h_d: float, n_g: int, n_d: int) -> dict[str, Any]:
    stability = gd.stability(_alternation(h_g, h_d, n_g, n_d), ORIGIN)
    return {
        "multipliers": stability.eigenvalues,
        "determinant": np.prod(np.asarray(stability.eigenvalues)).real,
        "verdict": stability.verdict,
    }


def _draw_alternation(rng: np.random.Generator) -> dict[str, Any]:
    n_g, n_d = ((1, 1), (1, 5), (3, 2))[rng.integers(3)]
    alpha, ratio = rng.choice([rng.uniform(0.2, 1.8), rng.uniform(2.2, 3)]), rng.uniform(0.5, 2)
    h = alpha / SLOPE / np.sqrt(n_g * n_d)
    return {"h_g": float(h * ratio), "h_d": float(h / ratio), "n_g": n_g, "n_d": n_d}


def _figure_alternating(ax: Any) -> None:
    step = gd.AltGD(gd.games.dirac(), 1.0, order=IN_TURN)
    gd.plot.paths(gd.sweep(at_origin, step, {"h": (lambda s: s.h, np.linspace(0.1, 5.0, 99))}, progress=False), ax=ax)


def _jordan(ratio: float, power: int) -> dict[str, Any]:
    coupling = 2 * power * (ratio + 1 / ratio)
    return {"multipliers": pair(-1, 0), "norm of the power": jordan_norm(coupling), "verdict": "undecided"}


def _jordan_literal(ratio: float, power: int) -> dict[str, Any]:
    return {"norm of the power": "bounded", "verdict": "marginal"}


def _jordan_computed(ratio: float, power: int) -> dict[str, Any]:
    step = _alternation(2 * ratio / SLOPE, 2 / ratio / SLOPE)
    stability = gd.stability(step, ORIGIN)
    return {
        "multipliers": Measured(stability.eigenvalues, float(stability.error)),
        "norm of the power": power_norm(step, power),
        "verdict": stability.verdict,
    }


def _draw_jordan(rng: np.random.Generator) -> dict[str, Any]:
    return {"ratio": float(rng.uniform(0.5, 2)), "power": int(rng.integers(2, 200))}


def _quadratic(h_g: float, h_d: float, k: float, theta: Any, psi: Any, first: str) -> Any:
    ratio, sign = np.sqrt(h_d / h_g), -1 if first == "generator" else 1
    return ratio * theta**2 + psi**2 / ratio + sign * np.sqrt(h_g * h_d) * k * theta * psi


def _ellipse(h_g: float, h_d: float, k: float, theta: float, psi: float, first: str) -> dict[str, Any]:
    return {
        "Q after 1000 steps": _quadratic(h_g, h_d, k, theta, psi, first),
        "spread of Q": 0.0,
        "rotation": np.arccos(1 - h_g * h_d * k**2 / 2),
    }


def _ellipse_computed(h_g: float, h_d: float, k: float, theta: float, psi: float, first: str) -> dict[str, Any]:
    order = IN_TURN if first == "generator" else IN_TURN[::-1]
    step = gd.AltGD(gd.games.bilinear(k), gd.Players(h_g, h_d), order=order)
    x, y = (np.asarray(player) for player in gd.iterate(step, gd.Players(theta, psi), 1000).xs)
    quadratic = _quadratic(h_g, h_d, k, x, y, first)
    return {
        "Q after 1000 steps": quadratic[-1],
        "spread of Q": np.ptp(quadratic),
        "rotation": np.arccos(np.trace(np.asarray(jacobian(step, ORIGIN))) / 2),
    }


def _draw_ellipse(rng: np.random.Generator) -> dict[str, Any]:
    h_g, h_d, k = rng.uniform(0.1, 0.9, 3)
    first = str(rng.choice(["generator", "discriminator"]))
    return {"h_g": float(h_g), "h_d": float(h_d), "k": float(k), **point(rng), "first": first}


def _figure_ellipse(ax: Any) -> None:
    game, start = gd.games.bilinear(), gd.Players(1.0, 0.7)
    alternating, simultaneous = gd.AltGD(game, 0.3, order=IN_TURN), gd.SimGD(game, 0.3)
    orbits = {"AltGD": gd.iterate(alternating, start, 100), "SimGD": gd.iterate(simultaneous, start, 25)}
    draw_portraits(ax, game, orbits, 3.0)


def _critical(real: float, imaginary: float) -> dict[str, Any]:
    return {
        "closed form": 2 * abs(real) / (real**2 + imaginary**2),
        "general method": 1 / abs(real) * 2 / (1 + (imaginary / real) ** 2),
        "spectral radius": 1.0,
    }


def _critical_computed(real: float, imaginary: float) -> dict[str, Any]:
    step = gd.SimGD(gd.games.quadratic(-real, imaginary, -real), 0.1)
    value = gd.critical_step(step, ORIGIN).value
    return {
        "closed form": value,
        "general method": critical_step_by_search(step),
        "spectral radius": gd.stability(gd.SimGD(step.flow, value), ORIGIN).rate,
    }


def _draw_critical(rng: np.random.Generator) -> dict[str, float]:
    return {"real": -float(rng.uniform(0.05, 1)), "imaginary": float(rng.uniform(0.1, 3))}


def _figure_critical(ax: Any) -> None:
    step = 0.769230769231
    gd.plot.spectrum(gd.stability(gd.games.quadratic(0.1, 0.5, 0.1), ORIGIN), step=step, ax=ax)


CLAIMS = (
    Claim(
        key="MD03",
        source=MESCHEDER,
        title="Simultaneous gradient descent on the Dirac-GAN diverges for every step size",
        formula=r"\mu = 1 \pm i h f'(0), \qquad r_+^2 = r^2\,(1 + h^2 f'(\theta\psi)^2)",
        predict=_euler,
        compute=_euler_computed,
        settings=({"h": 0.2, "theta": 1.0, "psi": 1.0},),
        draw=_draw_euler,
        published=(
            {
                "multipliers": np.array([1 - 0.1j, 1 + 0.1j]),
                "modulus": 1.00498756211,
                "squared radius after a step": 2.00578635905,
            },
        ),
    ),
    Claim(
        key="MD04",
        source=MESCHEDER,
        title="Alternating descent has multipliers on the unit circle as long as alpha is below two, and diverges above",
        formula=r"\mu = 1 - \tfrac{\alpha^2}{2} \pm \sqrt{(1 - \tfrac{\alpha^2}{2})^2 - 1}, \qquad"
        r" \alpha^2 = n_g n_d h_g h_d f'(0)^2",
        predict=_alternating,
        compute=_alternating_computed,
        settings=tuple(
            {"h_g": h, "h_d": h, "n_g": n_g, "n_d": n_d}
            for h, n_g, n_d in ((0.2, 1, 1), (0.2, 1, 5), (3.0, 1, 1), (5.0, 1, 1), (1.0, 3, 2))
        ),
        draw=_draw_alternation,
        published=tuple(
            {"multipliers": np.array(values), "determinant": 1.0}
            for values in (
                [0.995 - 0.0998749217772j, 0.995 + 0.0998749217772j],
                [0.975 - 0.222204860433j, 0.975 + 0.222204860433j],
                [-0.125 - 0.992156741649j, -0.125 + 0.992156741649j],
                [-4 + 0j, -0.25 + 0j],
                [0.25 - 0.968245836552j, 0.25 + 0.968245836552j],
            )
        ),
        figure=_figure_alternating,
    ),
    Claim(
        key="MD04b",
        source=MESCHEDER,
        title="At alpha = 2 the multiplier -1 of alternating descent is a Jordan block: errors grow like the number of steps",
        formula=r"\mu = -1 \text{ twice}, \qquad \lVert M^k \rVert = \tfrac12\left(c + \sqrt{c^2 + 4}\right) \sim c,"
        r" \quad c = 2k\left(\sqrt{h_g/h_d} + \sqrt{h_d/h_g}\right)",
        predict=_jordan,
        compute=_jordan_computed,
        settings=({"ratio": 1.0, "power": 100},),
        draw=_draw_jordan,
        literal=_jordan_literal,
        correction="Multipliers of modulus one, here all alpha up to and including two, do not settle stability: at alpha = 2 "
        "the linear map is unbounded, and the verdict is undecided.",
    ),
    Claim(
        key="MD05",
        source=MESCHEDER,
        title="Alternating descent on the bilinear game stays on an ellipse for ever (beyond the paper)",
        formula=r"Q = \sqrt{h_d/h_g}\,\theta^2 + \sqrt{h_g/h_d}\,\psi^2 \mp \sqrt{h_g h_d}\,k\,\theta\psi"
        r" \text{ (generator first: minus)}, \qquad \varphi = \arccos(1 - h_g h_d k^2/2)",
        predict=_ellipse,
        compute=_ellipse_computed,
        settings=({"h_g": 0.3, "h_d": 0.3, "k": 1.0, "theta": 1.0, "psi": 0.7, "first": "generator"},),
        draw=_draw_ellipse,
        published=({"Q after 1000 steps": 1.28},),
        figure=_figure_ellipse,
    ),
    Claim(
        key="BM17",
        source=NUMERICS,
        title="Simultaneous descent is stable below a step size that rotation makes small",
        formula=r"h_c = \frac{2|{\rm Re}\,\lambda|}{|\lambda|^2}"
        r" = \frac{1}{|{\rm Re}\,\lambda|}\,\frac{2}{1 + ({\rm Im}\,\lambda/{\rm Re}\,\lambda)^2}",
        predict=_critical,
        compute=_critical_computed,
        settings=(
            {"real": -0.1, "imaginary": 0.5},
            {"real": -0.3, "imaginary": 0.01},
            {"real": -1.0, "imaginary": 3.0},
        ),
        draw=_draw_critical,
        published=tuple({"closed form": value} for value in (0.769230769231, 6.659267480577, 0.2)),
        figure=_figure_critical,
    ),
)
