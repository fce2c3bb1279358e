"""Methods on games with damping: time scales, step sizes that are best, local minimax points, and who moves first."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import gandyn as gd

from ._algorithms import ALTERNATING, ORIGIN, found, verdict
from ._claim import Claim, Source

ZHANG = Source(
    "Zhang et al. (2022)", "G. Zhang et al. Near-optimal local convergence of alternating gradient descent. AISTATS 2022."
)
JIN = Source(
    "Jin, Netrapalli and Jordan (2020)", "C. Jin, P. Netrapalli and M. I. Jordan. What is local optimality? ICML 2020."
)
WANG = Source("Wang, Zhang and Ba (2020)", "Y. Wang, G. Zhang and J. Ba. On solving minimax optimization locally. ICLR 2020.")
ROSCA = Source("Rosca et al. (2021)", "M. Rosca et al. Discretization drift in two-player games. ICML 2021.")
HEUSEL = Source("Heusel et al. (2017)", "M. Heusel et al. GANs trained by a two time-scale update rule. NeurIPS 2017.")
BERARD = Source("Berard et al. (2020)", "H. Berard et al. A closer look at the optimization landscapes of GANs. ICLR 2020.")
PACKAGE = Source("beyond the papers", "Results of this package, derived and verified here.")


def _damped(mu: float, c: float) -> dict[str, Any]:
    size = np.hypot(mu, c)
    alternating = 2 * (size - mu) / c**2
    return {"simultaneous": c / size, "alternating": 1 - alternating * mu, "both are best": True}


def _damped_computed(mu: float, c: float) -> dict[str, Any]:
    game, size = gd.games.quadratic(mu, c, mu), np.hypot(mu, c)
    makers = {"simultaneous": (gd.SimGD, mu / size**2), "alternating": (gd.AltGD, 2 * (size - mu) / c**2)}
    rates = {name: found(make(game, h)).rate for name, (make, h) in makers.items()}
    # Where two real multipliers meet, the rate has a kink: a step on either side is worse to first order.
    worse = [found(make(game, h * f)).rate > rates[name] for name, (make, h) in makers.items() for f in (0.98, 1.02)]
    # The double multiplier of the best alternating step is known to the square root of the rounding only.
    multiplier = np.sqrt(
        abs(np.linalg.det(np.asarray(gd.linearize(gd.AltGD(game, makers["alternating"][1]), ORIGIN).as_matrix())))
    )
    return {"simultaneous": rates["simultaneous"], "alternating": multiplier, "both are best": bool(all(worse))}


BM09 = Claim(
    "BM09",
    ZHANG,
    "The best rate of alternating descent is the square root of that of simultaneous descent, for large conditioning",
    r"V = \tfrac\mu2x^2 + cxy - \tfrac\mu2y^2: \quad \frac{c}{\sqrt{\mu^2+c^2}}, \qquad "
    r"1 - \mu\,\frac{2(\sqrt{\mu^2+c^2}-\mu)}{c^2}",
    _damped,
    _damped_computed,
    ({"mu": 0.1, "c": 1.0},),
    lambda rng: {"mu": float(rng.uniform(0.05, 0.5)), "c": float(rng.uniform(0.8, 1.5))},
    published=({"simultaneous": 0.99503719021, "alternating": 0.819002487578},),
)

MINIMAX = gd.games.quadratic  # f = -3x^2 + 4xy - y^2 is quadratic(-6, 4, 2)


def _scales(tau: float) -> dict[str, Any]:
    return {
        "eigenvalues": np.roots([1, 2 * tau - 6, 4 * tau]).astype(complex),
        "verdict": verdict(tau > 3),
        "critical tau": 3.0,
    }


def _scales_computed(tau: float) -> dict[str, Any]:
    flow = gd.TimeScaled(MINIMAX(-6.0, 4.0, 2.0), (1.0, tau))
    s = gd.stability(flow, ORIGIN)
    critical = gd.threshold(flow, lambda f: f.rates[1], ORIGIN, (1.0, 9.5)).value
    return {"eigenvalues": s.eigenvalues, "verdict": s.verdict, "critical tau": critical}


BM10 = Claim(
    "BM10",
    JIN,
    "A local minimax point that is no Nash equilibrium is stable once the maximiser is more than three times as fast",
    r"f = -3x^2 + 4xy - y^2: \quad \lambda^2 + (2\tau - 6)\lambda + 4\tau = 0",
    _scales,
    _scales_computed,
    tuple({"tau": tau} for tau in (1.0, 2.9, 3.1, 10.0, 1000.0)),
    lambda rng: {"tau": float(rng.uniform(3.5, 8.0))},
)


def _ridge(h: float, a: float, b: float, c: float) -> dict[str, Any]:
    return {"eigenvalues": np.array([1 - h * (a + c**2 / b), 1 - h * b], complex)}


def _ridge_computed(h: float, a: float, b: float, c: float) -> dict[str, Any]:
    return {"eigenvalues": found(gd.FollowTheRidge(MINIMAX(a, c, b), h)).eigenvalues}


BM11 = Claim(
    "BM11",
    WANG,
    "Follow-the-Ridge has real multipliers at a local minimax point: no rotation",
    r"\mu = 1 - h\,(f_{xx} - f_{xy}f_{yy}^{-1}f_{yx}), \quad 1 + h f_{yy}",
    _ridge,
    _ridge_computed,
    ({"h": 0.05, "a": -6.0, "b": 2.5, "c": 4.0},),
    lambda rng: {"h": 0.05, "a": float(rng.uniform(-3, 3)), "b": float(rng.uniform(1, 3)), "c": float(rng.uniform(2, 4))},
)


def _classified(a: float, b: float, c: float) -> dict[str, Any]:
    return {
        "eigenvalues": np.linalg.eigvals([[-a, -c], [c, -b]]).astype(complex),
        "verdict": verdict(a + b > 0 < a * b + c**2),
        "Nash equilibrium": a > 0 < b,
        "local minimax point": b > 0 < a + c**2 / b,
    }


def _classified_computed(a: float, b: float, c: float) -> dict[str, Any]:
    game = gd.games.quadratic(a, c, b)
    s, parts = gd.stability(game, ORIGIN), gd.blocks(game, ORIGIN)
    own, across, back, other = (float(parts[row, column].item()) for row in ALTERNATING for column in ALTERNATING)
    return {
        "eigenvalues": s.eigenvalues,
        "verdict": s.verdict,
        "Nash equilibrium": own < 0 > other,
        "local minimax point": other < 0 > own - across / other * back,
    }


BM12 = Claim(
    "BM12",
    JIN,
    "Nash, local minimax and stable points of a quadratic game are three different things",
    r"J = \begin{pmatrix} -a & -c \\ c & -b \end{pmatrix}: \quad \text{Nash } a, b > 0; \quad "
    r"\text{minimax } b > 0,\ a + \tfrac{c^2}b > 0; \quad \text{stable } a + b > 0,\ ab + c^2 > 0",
    _classified,
    _classified_computed,
    (
        {"a": -1.0, "b": 2.0, "c": 1.0},
        {"a": -1.0, "b": 2.0, "c": 2.0},
        {"a": -2.0, "b": 1.0, "c": 3.0},
        {"a": 2.0, "b": -1.0, "c": 2.0},
    ),
    lambda rng: dict(zip("abc", map(float, rng.uniform(0.3, 2.0, 3)), strict=True)),
)


def _modified(h: float, theta: float, psi: float) -> dict[str, Any]:
    s = theta * psi
    slope, bend = 1 / (1 + np.exp(-s)), 1 / (2 + 2 * np.cosh(s))
    # In our sign V = f(-theta psi): theta' = psi f', psi' = -theta f', with f' and its derivative taken at -s.
    v = np.array([psi * slope, -theta * slope])
    jacobian = np.array([[psi * bend * psi, slope + s * bend], [-slope - s * bend, -theta * bend * theta]])
    second = jacobian[1, 0] * v[0]
    return {"simultaneous": v - h / 2 * jacobian @ v, "alternating": v - h / 2 * jacobian @ v + h * np.array([0.0, second])}


def _modified_computed(h: float, theta: float, psi: float) -> dict[str, Any]:
    game, x = gd.games.dirac(), gd.Players(jnp.asarray(theta), jnp.asarray(psi))
    maps = {"simultaneous": gd.SimGD(game, h), "alternating": gd.AltGD(game, h)}
    return {name: np.array(gd.Modified(step)(x)) for name, step in maps.items()}


BM13 = Claim(
    "BM13",
    ROSCA,
    "The flows that simultaneous and alternating descent follow to second order",
    r"v - \tfrac h2 (Dv)v; \qquad v - \tfrac h2(Dv)v + h\,(0,\ \partial_1 v_2\, v_1)",
    _modified,
    _modified_computed,
    ({"h": 0.1, "theta": 1.0, "psi": 0.6},),
    lambda rng: {"h": 0.1, "theta": float(rng.normal()), "psi": float(rng.normal())},
)


def _two_scales(gamma: float, r: float) -> dict[str, Any]:
    return {"eigenvalues": np.roots([1, r * gamma, r / 4]).astype(complex)}


def _two_scales_computed(gamma: float, r: float) -> dict[str, Any]:
    flow = gd.TimeScaled(gd.Penalised(gd.games.dirac(), gd.r1, gamma), (1.0, r))
    return {"eigenvalues": gd.stability(flow, ORIGIN).eigenvalues}


BM14 = Claim(
    "BM14",
    HEUSEL,
    "Two time scales on the Dirac-GAN with R1: the discriminator's speed damps only through the penalty",
    r"\lambda = -\tfrac{r\gamma}2 \pm \sqrt{\tfrac{r^2\gamma^2}4 - r f'(0)^2}",
    _two_scales,
    _two_scales_computed,
    ({"gamma": 0.3, "r": 4.0},),
    lambda rng: {"gamma": float(rng.uniform(0.1, 0.6)), "r": float(rng.uniform(0.3, 2.5))},
    published=({"eigenvalues": np.array([-0.6 - 0.8j, -0.6 + 0.8j])},),
)


def _many_steps(h: float, gamma: float, n: int) -> dict[str, Any]:
    q = (1 - h * gamma) ** n
    trace = 1 + q - h / 4 * (1 - q) / gamma
    return {"trace": trace, "determinant": q, "eigenvalues": np.roots([1, -trace, q]).astype(complex)}


def _many_steps_computed(h: float, gamma: float, n: int) -> dict[str, Any]:
    step = gd.AltGD(gd.Penalised(gd.games.dirac(), gd.r1, gamma), h, steps=(1, n))
    matrix = np.asarray(gd.linearize(step, ORIGIN).as_matrix())
    return {"trace": np.trace(matrix), "determinant": np.linalg.det(matrix), "eigenvalues": found(step).eigenvalues}


BM15 = Claim(
    "BM15",
    PACKAGE,
    "Alternating descent with several discriminator steps on the Dirac-GAN with R1",
    r"\det = q^{n}, \quad {\rm tr} = 1 + q^n - h f'(0)^2\,\frac{1 - q^n}\gamma, \quad q = 1 - h\gamma",
    _many_steps,
    _many_steps_computed,
    ({"h": 0.2, "gamma": 0.3, "n": 5},),
    lambda rng: {"h": float(rng.uniform(0.1, 0.5)), "gamma": float(rng.uniform(0.1, 0.5)), "n": 5},
    published=({"trace": 1.6895546928, "determinant": 0.7339040224},),
)


def _path_angle(a: float, w: float, t: float) -> dict[str, Any]:
    cosine = a / np.hypot(a, w)
    return {"before the equilibrium": cosine, "after it": -cosine}


def _path_angle_computed(a: float, w: float, t: float) -> dict[str, Any]:
    flow, start = gd.games.quadratic(a, w, a), np.array([0.8, -0.5])

    def cosine(x: np.ndarray) -> float:
        v = np.array(flow(gd.Players(*map(jnp.asarray, x))))
        return float(v @ -start / np.linalg.norm(v) / np.linalg.norm(start))

    return {"before the equilibrium": cosine(start * (1 - t)), "after it": cosine(-start * t)}


BM16 = Claim(
    "BM16",
    BERARD,
    "Along a straight path to a spiral's centre the angle with the field is constant and changes sign there",
    r"\cos = \frac{a}{\sqrt{a^2 + w^2}}",
    _path_angle,
    _path_angle_computed,
    ({"a": 0.1, "w": 1.0, "t": 0.3},),
    lambda rng: {"a": float(rng.uniform(0.1, 1)), "w": float(rng.uniform(0.5, 2)), "t": float(rng.uniform(0.1, 0.9))},
    published=({"before the equilibrium": 0.099503719021},),
)


def _orders(h: float, gamma: float) -> dict[str, Any]:
    values = np.roots([1, -(2 - h * gamma - h**2 / 4), 1 - h * gamma]).astype(complex)
    return {"generator first": values, "discriminator first": values}


def _orders_computed(h: float, gamma: float) -> dict[str, Any]:
    flow = gd.Penalised(gd.games.dirac(), gd.r1, gamma)
    return {f"{order[0]} first": found(gd.AltGD(flow, h, order)).eigenvalues for order in (ALTERNATING, ALTERNATING[::-1])}


BM20 = Claim(
    "BM20",
    PACKAGE,
    "Whoever moves first, alternating descent has the same multipliers",
    r"{\rm spec}(DG) = {\rm spec}(GD): \quad \mu^2 - (2 - h\gamma - h^2f'(0)^2)\mu + 1 - h\gamma = 0",
    _orders,
    _orders_computed,
    ({"h": 0.6, "gamma": 1 / 6},),
    lambda rng: {"h": float(rng.uniform(0.1, 1)), "gamma": float(rng.uniform(0.1, 0.6))},
)


CLAIMS = (BM09, BM10, BM11, BM12, BM13, BM14, BM15, BM16, BM20)
