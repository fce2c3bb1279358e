"""Closed orbits that are no limit cycles, and orbits that end where nobody wants them; in the papers' signs."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Scalar
from scipy.special import lambertw

import gandyn as gd

from ._claim import NAGARAJAN_KOLTER, Claim, Measured
from ._dirac import ORIGIN, ours, pair, theirs, velocity_of
from ._methods import PACKAGE

UNIFORM = gd.games.uniform
AXIS = gd.Section(lambda x: x.discriminator, 0)
ONWARD = gd.Section(lambda x: x.discriminator, -1)


def energy(x: gd.Players) -> Scalar:
    """What the WGAN that learns a uniform distribution conserves."""
    return x.discriminator**2 + x.generator**2 / 2 - jnp.log(x.generator)


def turning_points(level: float) -> tuple[float, float]:
    """The smallest and the largest a on the orbit of an energy."""
    branches = lambertw(-np.exp(-2 * level), 0), lambertw(-np.exp(-2 * level), -1)
    low, high = (float(np.sqrt(-branch.real)) for branch in branches)
    return low, high


def period(level: float) -> float:
    """The period of the orbit of an energy, by Gauss and Chebyshev's rule in log a.

    Beside the rule's weight, which has the integrand's singular ends, what is left is smooth: 24 nodes give thirteen digits
    from a = 1.1 to 2.5, and no more than twelve at 1.02, where Lambert's function loses those of the turning points.
    """
    low, high = np.log(turning_points(level))
    nodes, weights = np.polynomial.chebyshev.chebgauss(24)
    u = (high + low) / 2 + (high - low) / 2 * nodes
    smooth = np.sqrt((high - u) * (u - low) / (level - np.exp(2 * u) / 2 + u))
    return 3 * float(weights @ smooth)


def _uniform(a: float) -> dict[str, Any]:
    level = a**2 / 2 - np.log(a)
    return {"turning point": turning_points(level)[0], "period": period(level), "energy after ten turns": level}


def _uniform_computed(a: float) -> dict[str, Any]:
    game = UNIFORM(gd.objectives.wasserstein)
    found = gd.crossings(game, gd.Players(a, 0.0), AXIS, 20)
    return {
        "turning point": found.xs.generator[0],
        "period": found.ts[1],
        "energy after ten turns": energy(gd.Players(found.xs.generator[-1], found.xs.discriminator[-1])),
    }


def _least_squares(r: float) -> dict[str, Any]:
    return {"period": 2 * np.pi / np.sqrt(1 - r**4 / 4), "radius after a turn": r}


def _least_squares_computed(r: float) -> dict[str, Any]:
    found = gd.crossings(gd.games.dirac(gd.objectives.least_squares_zero_sum), ours(r, 0.0), ONWARD)
    return {"period": found.ts[0], "radius after a turn": np.linalg.norm(theirs(found.xs))}


def _real_label(theta: float, psi: float) -> dict[str, Any]:
    return {
        "d r^2/dt": -4 * (theta * psi) ** 2,
        "eigenvalues": np.array([1j, -1j]),
        "verdict": "marginal",
        "slope of 1/r^2": 0.5,
    }


def _real_label_computed(theta: float, psi: float) -> dict[str, Any]:
    game = gd.games.dirac(gd.objectives.least_squares)
    found = gd.stability(game, ORIGIN)
    late = gd.integrate(game, gd.Players(0.1, 0.0), np.array([0.0, 2000.0, 4000.0])).xs
    slope = np.diff(1 / np.asarray(late.generator**2 + late.discriminator**2))[1] / 2000
    return {
        "d r^2/dt": 2 * velocity_of(game, theta, psi) @ np.array([theta, psi]),
        "eigenvalues": found.eigenvalues,
        "verdict": found.verdict,
        # Within a turn 1/r^2 goes up and down by a few tenths, of the thousand that it gains here.
        "slope of 1/r^2": Measured(slope, 5e-4),
    }


def _zero_label(psi: float) -> dict[str, Any]:
    return {"eigenvalues": np.array([0.0, -(psi**2)]), "dimension": 1, "verdict across": "stable"}


def _zero_label_computed(psi: float) -> dict[str, Any]:
    game, x = gd.games.dirac(gd.objectives.LeastSquares(generator_target=0.0)), ours(0.0, psi)
    along = gd.manifold(game, x)
    return {
        "eigenvalues": gd.stability(game, x).eigenvalues,
        "dimension": along.dimension,
        "verdict across": gd.stability(game, x, modulo=along).verdict,
    }


def gradient_penalised(weight: float, centre: float, form: Any = gd.two_sided) -> gd.Penalised:
    """The WGAN with a penalty around a slope, on the data of the Dirac-GAN."""
    return gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.gradient_penalty(centre, form, gd.on_real), weight)


def _overdamped(lam: float, g0: float) -> dict[str, Any]:
    return {"theta in the end": -lam * g0, "psi in the end": 0.0, "rates": pair(-lam / 2, lam**2 / 4 - 1)}


def _overdamped_computed(lam: float, g0: float) -> dict[str, Any]:
    game = gradient_penalised(lam, g0)
    slow = lam / 2 - np.sqrt(lam**2 / 4 - 1)
    # Beside the kink, on the side on which the orbit ends.
    beside = gd.linearize(game, ours(-lam * g0, 1e-3)).as_matrix()
    end = theirs(gd.integrate(game, ours(1.0, 1.0), np.array([0.0, 16 / slow])).final)
    left = 2 * lam * np.exp(-16)
    return {
        "theta in the end": Measured(end[0], left),
        "psi in the end": Measured(end[1], left),
        "rates": np.linalg.eigvals(beside),
    }


def _one_sided(lam: float, g0: float, r: float) -> dict[str, Any]:
    return {"period inside": 2 * np.pi, "radius inside": 0.9 * g0, "t^2 (r - g0), late": 9 * np.pi**2 * g0 / (8 * lam**2)}


def _one_sided_computed(lam: float, g0: float, r: float) -> dict[str, Any]:
    game = gradient_penalised(lam, g0, gd.one_sided)
    inside = gd.crossings(game, ours(0.9 * g0, 0.0), ONWARD)
    late = theirs(gd.integrate(game, ours(r, 0.0), np.array([0.0, 4000.0])).final)
    return {
        "period inside": inside.ts[0],
        "radius inside": np.linalg.norm(theirs(inside.xs)),
        # The law leaves out what the start adds to the time.
        "t^2 (r - g0), late": Measured(4000.0**2 * (np.linalg.norm(late) - g0), 0.01),
    }


def _periods(ax: Any) -> None:
    starts = np.linspace(1.02, 2.5, 60)
    levels = starts**2 / 2 - np.log(starts)
    game = UNIFORM(gd.objectives.wasserstein)
    points = starts[4::8]
    found = [gd.crossings(game, gd.Players(a, 0.0), ONWARD).ts[0] for a in points]
    ax.plot(starts, [period(level) for level in levels], label="quadrature")
    ax.plot(points, found, "o", ms=4, label="from the game")
    ax.axhline(3 * np.pi, ls=":", color="grey", label=r"$3\pi$, of the linearisation")
    ax.set(xlabel="largest $a$ on the orbit", ylabel="period")
    ax.legend()


def _orbits(game: gd.AbstractGame, starts: Any, box: tuple[float, float], ax: Any) -> None:
    low, high = box
    gd.plot.portrait(game, (ours(low, high), ours(high, low)), starts=starts, horizon=30.0, equilibria=False, ax=ax)


CLAIMS = (
    Claim(
        key="NK07",
        source=NAGARAJAN_KOLTER,
        title="The WGAN that learns a uniform distribution runs on closed orbits around its equilibrium",
        formula=r"H = w^2 + \tfrac12 a^2 - \ln a, \quad a_\mp = \sqrt{-W_{0,-1}(-e^{-2H})}, \quad"
        r" T = 3\int_{a_-}^{a_+} \frac{da}{a\sqrt{H - a^2/2 + \ln a}}",
        predict=_uniform,
        compute=_uniform_computed,
        settings=({"a": 1.5}, {"a": 1.1}, {"a": 2.0}),
        published=(
            {"turning point": 0.574281768622568, "period": 9.77241810511183, "energy after ten turns": 0.719534891891836},
            {"period": 9.4400048093299},
            {"period": 10.717137583294},
        ),
        correction="The orbits are called limit cycles, but there is one through every point: the equilibrium is a centre, H "
        "is conserved, and the period grows with the amplitude.",
        figure=_periods,
    ),
    Claim(
        key="MD12",
        source=PACKAGE,
        title="WGAN-GP with a weight of two or more ends at a wrong point of the Dirac-GAN, one for each sign of $\\psi$",
        formula=r"(\theta, \psi) \to (-\lambda g_0, 0^+), \qquad \text{rates } \tfrac\lambda2 \mp \sqrt{\lambda^2/4 - 1}",
        predict=_overdamped,
        compute=_overdamped_computed,
        settings=({"lam": 10.0, "g0": 1.0}, {"lam": 3.0, "g0": 0.5}),
        published=({"theta in the end": -10.0},),
    ),
    Claim(
        key="MD14",
        source=PACKAGE,
        title="The zero-sum least-squares Dirac-GAN runs on circles, whose period diverges at the radius $\\sqrt 2$",
        formula=r"T = \frac{2\pi}{\sqrt{1 - r^4/4}}",
        predict=_least_squares,
        compute=_least_squares_computed,
        settings=({"r": 0.5}, {"r": 1.0}, {"r": 1.3}),
        draw=lambda rng: {"r": float(rng.uniform(0.3, 1.3))},
        published=({"period": 6.332855529193}, {"period": 7.255197456937}, {"period": 11.749403915347}),
    ),
    Claim(
        key="MD15",
        source=PACKAGE,
        title="Least squares with the real label as the generator's converges, but only like $t^{-1/2}$",
        formula=r"\tfrac{d}{dt}r^2 = -4\theta^2\psi^2, \qquad \lambda = \pm i, \qquad \tfrac{d}{dt}r^{-2} \to \tfrac12",
        predict=_real_label,
        compute=_real_label_computed,
        settings=({"theta": 0.6, "psi": 0.4},),
        draw=lambda rng: {"theta": float(rng.normal()), "psi": float(rng.normal())},
        published=({"d r^2/dt": -0.2304},),
    ),
    Claim(
        key="MD16",
        source=PACKAGE,
        title="Least squares with the label zero as the generator's has a line of equilibria",
        formula=r"\theta = 0: \quad \lambda \in \{0, -\psi^2\}",
        predict=_zero_label,
        compute=_zero_label_computed,
        settings=({"psi": 0.7},),
        draw=lambda rng: {"psi": float(rng.uniform(0.3, 1.5))},
        published=({"eigenvalues": np.array([-0.49, 0.0])},),
    ),
    Claim(
        key="MD24",
        source=PACKAGE,
        title="WGAN with a one-sided penalty keeps its circles inside the slope $g_0$ and attracts from outside like $t^{-2}$",
        formula=r"\tfrac{d}{dt}r^2 = -2\lambda|\psi|\,(|\psi| - g_0)_+, \qquad t^2(r - g_0) \to \frac{9\pi^2 g_0}{8\lambda^2}",
        predict=_one_sided,
        compute=_one_sided_computed,
        settings=({"lam": 1.0, "g0": 0.8, "r": 2.0},),
        figure=lambda ax: _orbits(
            gradient_penalised(1.0, 0.8, gd.one_sided), (ours(0.4, 0.0), ours(0.8, 0.0), ours(2.0, 0.0)), (-2.1, 2.1), ax
        ),
    ),
)
