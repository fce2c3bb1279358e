"""What the linearisation of the Dirac-GAN does not tell: slow decay, spurious circles, clipping; in the paper's sign."""

from typing import Any

import numpy as np

import gandyn as gd

from ._algorithms import QIN
from ._claim import MESCHEDER, Claim, Measured
from ._dirac import ORIGIN, ours, theirs, velocity_of
from ._methods import PACKAGE


def _sigmoid(t: Any) -> Any:
    return 1 / (1 + np.exp(-t))


def _square(x: gd.Players) -> Any:
    return x.generator**2 + x.discriminator**2


def _non_saturating(theta: float, psi: float) -> dict[str, Any]:
    s = theta * psi
    return {
        "d r^2/dt": -2 * s * np.tanh(s / 2),
        "eigenvalues": np.array([0.5j, -0.5j]),
        "verdict": "marginal",
        "slope of 1/r^2": 0.125,
    }


def _non_saturating_computed(theta: float, psi: float) -> dict[str, Any]:
    game = gd.games.dirac(gd.objectives.nonsaturating)
    found = gd.stability(game, ORIGIN)
    late = gd.integrate(game, gd.Players(0.3, 0.0), np.array([0.0, 2000.0, 4000.0]))
    slope = np.diff(1 / np.asarray(_square(late.xs)))[1] / 2000
    return {
        "d r^2/dt": 2 * velocity_of(game, theta, psi) @ np.array([theta, psi]),
        "eigenvalues": found.eigenvalues,
        "verdict": found.verdict,
        # The next term of the decay is smaller by r^2, and its average over this window by far.
        "slope of 1/r^2": Measured(slope, 1e-4),
    }


MD09 = Claim(
    "MD09",
    MESCHEDER,
    "The non-saturating Dirac-GAN converges, but only like $t^{-1/2}$: its eigenvalues are imaginary",
    r"\tfrac{d}{dt}r^2 = -2s\tanh\tfrac s2,\quad s = \theta\psi; \qquad \lambda = \pm\tfrac i2; \qquad "
    r"\tfrac{d}{dt}r^{-2} \to \tfrac18",
    _non_saturating,
    _non_saturating_computed,
    ({"theta": 1.3, "psi": 0.6},),
    lambda rng: {"theta": float(rng.normal()), "psi": float(rng.normal())},
    published=({"d r^2/dt": -0.579321955487},),
    figure=lambda ax: gd.plot.portrait(
        gd.games.dirac(gd.objectives.nonsaturating),
        (gd.Players(-1.5, -1.5), gd.Players(1.5, 1.5)),
        starts=(gd.Players(1.2, 0.0),),
        horizon=100.0,
        equilibria=False,
        ax=ax,
    ),
)


def _circle(h: float) -> dict[str, Any]:
    return {"mean r^2 / (2h)": 1.0}


def _circle_computed(h: float) -> dict[str, Any]:
    step = gd.SimGD(gd.games.dirac(gd.objectives.nonsaturating), h)
    settled = gd.iterate(step, gd.Players((2 * h) ** 0.5, 0.0), 100_000, every=100_000).final
    turn = gd.iterate(step, settled, 20_000, observe=_square)
    # The coefficient of the h^2 that the law leaves out is 0.055 at small steps.
    return {"mean r^2 / (2h)": Measured(np.mean(turn.xs) / (2 * h), 0.06 * h**2 + 2e-4)}


MD10 = Claim(
    "MD10",
    PACKAGE,
    "Simultaneous descent does not follow: on the non-saturating Dirac-GAN it ends on a circle that only the step makes",
    r"\overline{r^2} = 2h\,(1 + O(h^2))",
    _circle,
    _circle_computed,
    ({"h": 0.2}, {"h": 0.05}),
)


def _resonance(gamma: float) -> dict[str, Any]:
    cosine = 1 - 2 * gamma**2
    values = cosine + np.array([1j, -1j]) * np.sqrt(1 - cosine**2)
    return {"critical step": 4 * gamma, "multipliers there": values}


def _resonance_computed(gamma: float) -> dict[str, Any]:
    flow = gd.Penalised(gd.games.dirac(), gd.r1, gamma)
    critical = gd.critical_step(gd.SimGD(flow, 0.1), ORIGIN).value
    return {"critical step": critical, "multipliers there": gd.stability(gd.SimGD(flow, critical), ORIGIN).eigenvalues}


MD19 = Claim(
    "MD19",
    PACKAGE,
    "Simultaneous descent with R1 loses stability at a Neimark-Sacker point",
    r"h_c = \gamma/f'(0)^2, \quad \mu = e^{\pm i\varphi}, \quad \cos\varphi = 1 - \frac{\gamma^2}{2f'(0)^2}",
    _resonance,
    _resonance_computed,
    ({"gamma": 0.3},),
    lambda rng: {"gamma": float(rng.uniform(0.1, 0.6))},
    published=({"multipliers there": np.array([0.82 - 0.57236352085j, 0.82 + 0.57236352085j])},),
)


def _non_saturating_field(x: np.ndarray) -> np.ndarray:
    s = x[0] * x[1]
    return np.array([-x[1] * _sigmoid(s), x[0] * _sigmoid(-s)])


def _kutta(h: float, count: int) -> dict[str, Any]:
    x = np.array([1.0, 1.0])
    for _ in range(count):
        a = _non_saturating_field(x)
        b = _non_saturating_field(x + h / 2 * a)
        c = _non_saturating_field(x + h / 2 * b)
        d = _non_saturating_field(x + h * c)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return {"r": np.linalg.norm(x), "closer than the circle": True}


def _kutta_computed(h: float, count: int) -> dict[str, Any]:
    step = gd.RungeKutta(gd.games.dirac(gd.objectives.nonsaturating), h)
    final = gd.iterate(step, ours(1.0, 1.0), count, every=count).final
    r = float(np.linalg.norm(theirs(final)))
    return {"r": r, "closer than the circle": r < 0.2 * (2 * h) ** 0.5}


MD25 = Claim(
    "MD25",
    QIN,
    "The Runge-Kutta method of order four removes the spurious circle of descent on the non-saturating Dirac-GAN",
    r"h = 0.2,\ t = 1000: \quad r \approx \sqrt{8/t} = 0.0894 \text{ in place of } \sqrt{2h} = 0.632",
    _kutta,
    _kutta_computed,
    ({"h": 0.2, "count": 5000},),
    published=({"r": 0.0892539158351},),
)


def _clipped(c: float, theta: float) -> dict[str, Any]:
    return {"state at theta_0/c": np.array([0.0, c]), "radius afterwards": c}


def _discriminator(x: gd.Players) -> Any:
    return x.discriminator


def _clipped_computed(c: float, theta: float) -> dict[str, Any]:
    wgan = gd.games.dirac(gd.objectives.wasserstein)
    flow = gd.Constrained(wgan, gd.Box(-c, c, _discriminator))
    slide = gd.integrate(flow, ours(theta, c), np.array([0.0, theta / c, theta / c + 1.0]))
    states = theirs(slide.xs)
    # Where the orbit leaves the bound the solver is of first order in its last step, which its tolerance bounds.
    return {"state at theta_0/c": Measured(states[:, 1], 1e-9), "radius afterwards": Measured(np.hypot(*states[:, 2]), 1e-9)}


BM18 = Claim(
    "BM18",
    PACKAGE,
    "Weight clipping: the WGAN's flow slides along the bound and is absorbed into the circle of its radius in finite time",
    r"t = \theta_0/c, \quad (\theta, \psi) = (0, c), \quad r = c \text{ ever after}",
    _clipped,
    _clipped_computed,
    ({"c": 0.3, "theta": 2.0},),
    lambda rng: {"c": float(rng.uniform(0.2, 0.6)), "theta": float(rng.uniform(0.5, 2.0))},
)


def _clipped_flow(c: float, inner: float, outer: float) -> dict[str, Any]:
    return {
        "inside, after a turn": np.array([inner, 0.0]),
        "where the bound is met": np.array([np.sqrt(outer**2 - c**2), c]),
        "where it is left": np.array([0.0, c]),
        "a turn later": np.array([0.0, c]),
    }


def _clipped_flow_computed(c: float, inner: float, outer: float) -> dict[str, Any]:
    flow = gd.Constrained(gd.games.dirac(gd.objectives.wasserstein), gd.Box(-c, c, _discriminator))
    met = np.arcsin(c / outer)
    left = met + np.sqrt(outer**2 - c**2) / c
    turn = theirs(gd.integrate(flow, ours(inner, 0.0), np.array([0.0, 2 * np.pi])).final)
    states = theirs(gd.integrate(flow, ours(outer, 0.0), np.array([0.0, met, left, left + 2 * np.pi])).xs)
    # Where the orbit meets the bound and leaves it the solver is of first order in its last step, which its tolerance bounds.
    met_at, left_at, later = (Measured(states[:, i], 1e-9) for i in (1, 2, 3))
    return {
        "inside, after a turn": Measured(turn, 1e-9),
        "where the bound is met": met_at,
        "where it is left": left_at,
        "a turn later": later,
    }


MD13 = Claim(
    "MD13",
    MESCHEDER,
    "The flow of the WGAN with clipping: a centre inside, and every orbit from outside joins the circle that touches the bound",
    r"r \le c: \text{ closed, of period } 2\pi; \quad r > c: \text{ the bound is met at } \theta = \sqrt{r^2 - c^2}, "
    r"\text{ left after } \sqrt{r^2 - c^2}/c \text{ at } (0, c)",
    _clipped_flow,
    _clipped_flow_computed,
    ({"c": 0.3, "inner": 0.2, "outer": 1.0},),
    lambda rng: {
        "c": float(rng.uniform(0.3, 0.6)),
        "inner": float(rng.uniform(0.05, 0.25)),
        "outer": float(rng.uniform(0.7, 1.2)),
    },
)


def _clipped_descent(h: float, c: float, alternating: bool) -> dict[str, Any]:
    theta, psi = 1.0, 1.0
    for _ in range(500):
        new = theta - h * psi
        psi = float(np.clip(psi + h * (new if alternating else theta), -c, c))
        theta = new
    return {"end": np.array([theta, psi])}


def _clipped_descent_computed(h: float, c: float, alternating: bool) -> dict[str, Any]:
    wgan = gd.games.dirac(gd.objectives.wasserstein)
    step = gd.AltGD(wgan, h) if alternating else gd.SimGD(wgan, h)
    orbit = gd.iterate(gd.Projected(step, gd.Box(-c, c, _discriminator)), ours(1.0, 1.0), 500, every=500)
    return {"end": theirs(orbit.final)}


MDF_WGAN = Claim(
    "MDF-wgan",
    MESCHEDER,
    "The trajectories of the WGAN with clipping: no convergence, whoever moves first",
    r"h = 0.2,\ c = 1,\ (\theta, \psi)_0 = (1, 1),\ 500 \text{ steps}",
    _clipped_descent,
    _clipped_descent_computed,
    ({"h": 0.2, "c": 1.0, "alternating": False}, {"h": 0.2, "c": 1.0, "alternating": True}),
    published=({"end": np.array([-0.0656407821938, 1.0])}, {"end": np.array([0.979076297291, 0.300381519779])}),
)

CLAIMS = (MD09, MD10, MD19, MD25, MD13, BM18, MDF_WGAN)
