r"""The Dirac-GAN of Mescheder, Geiger and Nowozin (2018): its field, its closed orbits, and what the other files share.

In the paper D > 0 means fake, in the package real: their :math:`\psi` is minus ours. Settings, predictions and values are
in the paper's sign; `ours` and `theirs` translate.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree, ScalarLike
from scipy.special import i0

import gandyn as gd

from ._claim import MESCHEDER, Claim

SLOPE = 0.5
"""The slope f'(0) of the log-sigmoid f."""
CURVATURE = -0.25
"""Its second derivative f''(0)."""
ORIGIN = gd.Players(0.0, 0.0)


def ours(theta: Any, psi: Any) -> gd.Players:
    """A point of the paper as a state."""
    return gd.Players(theta, -psi)


def theirs(x: gd.Players) -> np.ndarray:
    """A state, or a velocity, as the paper writes it; stacked along the first axis."""
    return np.array([x.generator, -x.discriminator])


def penalised(gamma: ScalarLike, penalty: Callable = gd.r1) -> gd.Penalised:
    """The Dirac-GAN with a penalty."""
    return gd.Penalised(gd.games.dirac(), penalty, gamma)


@eqx.filter_jit
def velocity(flow: gd.AbstractFlow, x: PyTree) -> PyTree:
    """The velocity at a batch of points: the leaves of `x` have one leading axis more than a state."""
    return jax.vmap(flow)(x)


def velocity_of(flow: gd.AbstractFlow, theta: float, psi: float) -> np.ndarray:
    """The velocity at one point, both in the paper's sign."""
    return theirs(velocity(flow, ours(np.array([theta]), np.array([psi]))))[:, 0]


@eqx.filter_jit
def jacobian(system: gd.AbstractSystem, x: PyTree) -> Float[Array, "n n"]:
    """The Jacobian as a matrix."""
    return gd.linearize(system, x).as_matrix()


def at_origin(system: gd.AbstractSystem) -> gd.Stability:
    """The stability of the origin, for sweeps."""
    return gd.stability(system, ORIGIN, throw=False)


def pair(middle: float, discriminant: float) -> np.ndarray:
    """Two eigenvalues, the middle plus and minus the root of the discriminant, as complex numbers."""
    root = np.sqrt(complex(discriminant))
    return np.array([middle + root, middle - root])


def log_sigmoid_slope(t: Any) -> Any:
    """f'(t) of f(t) = -log(1 + exp(-t))."""
    return 1 / (1 + np.exp(t))


def point(rng: np.random.Generator) -> dict[str, float]:
    """A random point of the plane."""
    theta, psi = rng.uniform(-1.5, 1.5, 2)
    return {"theta": float(theta), "psi": float(psi)}


def draw_portraits(ax: Any, flow: gd.AbstractFlow, trajectories: dict[str, gd.Trajectory], half: float) -> None:
    """Trajectories, by name, over the flow's phase portrait on a square, in the package's sign."""
    gd.plot.portrait(flow, (gd.Players(-half, -half), gd.Players(half, half)), equilibria=False, ax=ax)
    for name, trajectory in trajectories.items():
        gd.plot.trajectory(trajectory, label=name, ax=ax)
    ax.set(xlim=(-half, half), ylim=(-half, half))


def _field(theta: float, psi: float) -> dict[str, Any]:
    slope = log_sigmoid_slope(theta * psi)
    return {
        "eigenvalues": pair(0, -(SLOPE**2)),
        "field": np.array([-psi * slope, theta * slope]),
        "speed": np.hypot(theta, psi) * slope,
        "verdict": "marginal",
    }


def _field_computed(theta: float, psi: float) -> dict[str, Any]:
    game = gd.games.dirac()
    stability, field = gd.stability(game, ORIGIN), velocity_of(game, theta, psi)
    return {
        "eigenvalues": stability.eigenvalues,
        "field": field,
        "speed": np.linalg.norm(field),
        "verdict": stability.verdict,
    }


def _orbit(objective: str, radius: float) -> dict[str, Any]:
    return {
        "period": 2 * np.pi * (1 + i0(radius**2 / 2)) if objective == "minimax" else 2 * np.pi,
        "radial velocity": 0.0,
        "state after one period": np.array([radius, 0.0]),
    }


def _orbit_computed(objective: str, radius: float) -> dict[str, Any]:
    game = gd.games.dirac(getattr(gd.objectives, objective))
    angle = 2 * np.pi * np.arange(128) / 128
    theta, psi = radius * np.cos(angle), radius * np.sin(angle)
    v = theirs(velocity(game, ours(theta, psi)))
    # The rule of equal weights converges geometrically on a smooth periodic integrand, here dt = r^2 dphi / (x cross v).
    period = 2 * np.pi * np.mean(radius**2 / (theta * v[1] - psi * v[0]))
    return {
        "period": period,
        "radial velocity": np.max(np.abs(theta * v[0] + psi * v[1])) / radius,
        "state after one period": theirs(gd.integrate(game, ours(radius, 0.0), [0.0, period]).final),
    }


def _draw_orbit(rng: np.random.Generator) -> dict[str, Any]:
    return {"objective": str(rng.choice(["minimax", "wasserstein"])), "radius": float(rng.uniform(0.2, 2.5))}


def _figure_orbits(ax: Any) -> None:
    game = gd.games.dirac()
    circles = {
        f"r = {r:.3g}": gd.integrate(game, ours(r, 0.0), np.linspace(0, 2 * np.pi * (1 + i0(r**2 / 2)), 101))
        for r in (1.0, 2**0.5, 2.0)
    }
    draw_portraits(ax, game, circles, 2.5)


CLAIMS = (
    Claim(
        key="MD01",
        source=MESCHEDER,
        title="The origin is the Dirac-GAN's only equilibrium and a centre: unregularised training does not converge",
        formula=r"v = (-\psi f'(\theta\psi),\ \theta f'(\theta\psi)), \qquad |v| = r f'(\theta\psi) > 0 \ (r > 0), \qquad"
        r" \lambda = \pm i f'(0)",
        predict=_field,
        compute=_field_computed,
        settings=({"theta": 1.0, "psi": 0.5},),
        draw=point,
        published=({"eigenvalues": np.array([-0.5j, 0.5j]), "field": np.array([-0.188770334399, 0.377540668798])},),
    ),
    Claim(
        key="MD02",
        source=MESCHEDER,
        title="Every orbit of the Dirac-GAN's flow is a circle; larger ones take longer (the period: beyond the paper)",
        formula=r"\theta^2 + \psi^2 = r^2, \qquad T(r) = \int_0^{2\pi} \frac{d\varphi}{f'(\frac{r^2}{2}\sin 2\varphi)}"
        r" = 2\pi\,(1 + I_0(r^2/2)); \qquad \text{WGAN: } T = 2\pi",
        predict=_orbit,
        compute=_orbit_computed,
        settings=tuple({"objective": "minimax", "radius": r} for r in (1.0, 2**0.5, 2.0)),
        draw=_draw_orbit,
        published=tuple({"period": period} for period in (12.965248396651, 14.238111828192, 20.606242185280)),
        figure=_figure_orbits,
    ),
)
