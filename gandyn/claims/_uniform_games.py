"""The claims of Nagarajan and Kolter (2017) on learning a uniform distribution: GAN and WGAN, with and without regulariser.

Jacobians are in the source's order, discriminator first; states are ours, generator first.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

import gandyn as gd

from ._block_lemmas import discriminator_first
from ._claim import NAGARAJAN_KOLTER, Claim, Measured

_UNIT = {"low": -1.0, "high": 1.0}
_EQUILIBRIUM = gd.Players(1.0, 0.0)


def moment(k: int, low: float, high: float) -> float:
    """The k-th moment of the uniform law."""
    return (high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low))


def over(game: gd.GAN, low: float, high: float) -> gd.GAN:
    """The game with data and latent uniform on another interval."""
    law = gd.Uniform(low, high)
    return dataclasses.replace(game, real=law, latent=law)


def draw_interval(rng: np.random.Generator) -> dict[str, float]:
    """A random interval around zero."""
    return {"low": float(rng.uniform(-1.2, -0.5)), "high": float(rng.uniform(0.5, 1.2))}


def quadratic_roots(trace: float, determinant: float) -> np.ndarray:
    """The roots of l^2 - trace l + determinant."""
    root = np.sqrt(complex(trace**2 / 4 - determinant))
    return trace / 2 + np.array([root, -root])


def _predict_uniform(low: float, high: float) -> dict[str, Any]:
    values = quadratic_roots(-moment(4, low, high) / 2, moment(2, low, high) ** 2)
    return {"eigenvalues": values, "eigenvalues at a = -1": values, "verdict": "stable"}


def _compute_uniform(low: float, high: float) -> dict[str, Any]:
    game = over(gd.games.uniform(), low, high)
    found, other = gd.stability(game, _EQUILIBRIUM), gd.stability(game, gd.Players(-1.0, 0.0))
    return {"eigenvalues": found.eigenvalues, "eigenvalues at a = -1": other.eigenvalues, "verdict": found.verdict}


def _portrait(flow: gd.AbstractFlow, ax: Any) -> None:
    box = gd.Players(0.2, -0.9), gd.Players(1.8, 0.9)
    gd.plot.portrait(flow, box=box, starts=(gd.Players(1.5, 0.0),), horizon=60.0, equilibria=False, ax=ax)
    # The equilibrium is known; a search of the box would take longer than everything else.
    ax.plot(*_EQUILIBRIUM, "o", color="black", ms=4, zorder=5)


NK05 = Claim(
    key="NK05",
    source=NAGARAJAN_KOLTER,
    title="The GAN that learns a uniform distribution is locally exponentially stable",
    formula=r"D(x) = wx^2,\ G(z) = az:\quad J = \begin{pmatrix} 2f''(0)\,\mathbb E\,x^4 & -2f'(0)\,\mathbb E\,x^2 \\ "
    r"2f'(0)\,\mathbb E\,x^2 & 0 \end{pmatrix},\quad U[-1,1]:\ \lambda = -\tfrac1{20} \pm i\sqrt{\tfrac19 - \tfrac1{400}}",
    predict=_predict_uniform,
    compute=_compute_uniform,
    settings=(_UNIT,),
    draw=draw_interval,
    published=({"eigenvalues": np.array([-0.05 - 0.329561998888j, -0.05 + 0.329561998888j])},),
    figure=lambda ax: _portrait(gd.games.uniform(), ax),
)


def _predict_centre(low: float, high: float, a: float, w: float) -> dict[str, Any]:
    second = moment(2, low, high)
    return {
        "eigenvalues": quadratic_roots(0.0, 4 * second**2),
        "linear period": np.pi / second,
        "field": np.array([second * (1 - a**2), 2 * second * w * a]),
        "verdict": "marginal",
        "kind": "centre",
    }


def _compute_centre(low: float, high: float, a: float, w: float) -> dict[str, Any]:
    game = over(gd.games.uniform(gd.objectives.wasserstein), low, high)
    found = gd.stability(game, _EQUILIBRIUM)
    velocity = game(gd.Players(jnp.asarray(a), jnp.asarray(w)))
    return {
        "eigenvalues": found.eigenvalues,
        "linear period": 2 * np.pi / found.rotation,
        "field": np.array([velocity.discriminator, velocity.generator]),
        "verdict": found.verdict,
        "kind": found.kind,
    }


NK06 = Claim(
    key="NK06",
    source=NAGARAJAN_KOLTER,
    title="The WGAN that learns a uniform distribution does not converge: its linearisation is a centre",
    formula=r"\dot w = \mathbb E\,x^2\,(1 - a^2),\ \dot a = 2wa\,\mathbb E\,x^2;\quad \lambda = \pm 2i\,\mathbb E\,x^2;\quad "
    r"U[-1,1]:\ \pm\tfrac23 i \text{ and period } 3\pi",
    predict=_predict_centre,
    compute=_compute_centre,
    settings=({**_UNIT, "a": 1.2, "w": 0.3},),
    draw=lambda rng: {**draw_interval(rng), "a": float(rng.uniform(0.5, 1.5)), "w": float(rng.uniform(-1, 1))},
    published=(
        {
            "eigenvalues": np.array([-0.666666666667j, 0.666666666667j]),
            "linear period": 9.42477796077,
            "field": np.array([-0.146666666667, 0.24]),
        },
    ),
    figure=lambda ax: _portrait(gd.games.uniform(gd.objectives.wasserstein), ax),
)


def _regularised_wgan(eta: float) -> gd.FieldNorm:
    return gd.nagarajan_kolter(gd.games.uniform(gd.objectives.wasserstein), eta)


def _predict_regularised_wgan(eta: float) -> dict[str, Any]:
    values = quadratic_roots(-8 * eta / 9, 4 / 9)
    step = 2 * eta if eta <= 1.5 else 2 / np.max(np.abs(values))
    return {"eigenvalues": values, "verdict": "stable", "critical Euler step": step}


def _compute_regularised_wgan(eta: float) -> dict[str, Any]:
    flow = _regularised_wgan(eta)
    found = gd.stability(flow, _EQUILIBRIUM)
    values, step = found.eigenvalues, gd.critical_step(gd.SimGD(flow, 0.1), _EQUILIBRIUM).value
    if eta == 1.5:
        # The double eigenvalue: known to the radius of its pseudospectrum, and 2/|l| to the derivative times that.
        radius = float(found.error)
        values, step = Measured(values, radius), Measured(step, 2 * radius / float(jnp.min(jnp.abs(values))) ** 2)
    return {"eigenvalues": values, "verdict": found.verdict, "critical Euler step": step}


def _stability(flow: gd.AbstractFlow) -> gd.Stability:
    return gd.stability(flow, _EQUILIBRIUM, throw=False)


def _figure_paths(ax: Any) -> None:
    weights = np.linspace(0, 6, 601)
    moved = gd.sweep(_stability, _regularised_wgan(0.0), {r"$2\eta$": (lambda s: s.weight, weights)}, progress=False)
    gd.plot.paths(moved, ax=ax)


_WGAN_DIGITS = (
    (-0.111111111111 - 0.657342198122j, -0.111111111111 + 0.657342198122j),
    (-0.222222222222 - 0.628539361055j, -0.222222222222 + 0.628539361055j),
    (-0.444444444444 - 0.496903995j, -0.444444444444 + 0.496903995j),
    (-0.666666666667, -0.666666666667),
    (-2.48803387171, -0.178632794954),
)
_ETAS = ({"eta": 0.25}, {"eta": 0.5}, {"eta": 1.0}, {"eta": 1.5}, {"eta": 3.0})

NK08 = Claim(
    key="NK08",
    source=NAGARAJAN_KOLTER,
    title="The gradient-norm regulariser makes the WGAN that learns a uniform distribution stable",
    formula=r"""\lambda^2 + \tfrac89\eta\lambda + \tfrac49 = 0,\quad
        \lambda = -\tfrac49\eta \pm \sqrt{\tfrac{16}{81}\eta^2 - \tfrac49}, \text{ double at } \eta = \tfrac32;\quad
        h_c = 2\eta \text{ for } \eta \le \tfrac32,\ 2/|\lambda|_{\max} \text{ above}""",
    predict=_predict_regularised_wgan,
    compute=_compute_regularised_wgan,
    settings=_ETAS,
    draw=lambda rng: {"eta": float(rng.choice([rng.uniform(0.05, 1.4), rng.uniform(1.6, 4.0)]))},
    published=tuple({"eigenvalues": np.array(digits, complex)} for digits in _WGAN_DIGITS),
    figure=_figure_paths,
)


def _predict_regularised_gan(eta: float) -> dict[str, Any]:
    return {
        "J": np.array([[-1 / 10, -1 / 3], [1 / 3 - eta / 15, -2 * eta / 9]]),
        "eigenvalues": quadratic_roots(-(1 / 10 + 2 * eta / 9), 1 / 9),
        "det J": 1 / 9,
        "verdict": "stable",
    }


def _compute_regularised_gan(eta: float) -> dict[str, Any]:
    flow = gd.nagarajan_kolter(gd.games.uniform(), eta)
    found, matrix = gd.stability(flow, _EQUILIBRIUM), discriminator_first(flow, _EQUILIBRIUM)
    return {"J": matrix, "eigenvalues": found.eigenvalues, "det J": np.linalg.det(matrix), "verdict": found.verdict}


_GAN_DIGITS = (
    (-0.0777777777778 - 0.324132269907j, -0.0777777777778 + 0.324132269907j),
    (-0.105555555556 - 0.31617896167j, -0.105555555556 + 0.31617896167j),
    (-0.161111111111 - 0.291812133037j, -0.161111111111 + 0.291812133037j),
    (-0.216666666667 - 0.25331140256j, -0.216666666667 + 0.25331140256j),
    (-0.572630278193, -0.194036388473),
)

NK09 = Claim(
    key="NK09",
    source=NAGARAJAN_KOLTER,
    title="The regularised GAN that learns a uniform distribution is stable for every strength, its determinant unchanged",
    formula=r"J = \begin{pmatrix} -\tfrac1{10} & -\tfrac13 \\ \tfrac13 - \tfrac\eta{15} & -\tfrac29\eta \end{pmatrix},"
    r"\quad {\rm tr}\,J = -\tfrac1{10} - \tfrac29\eta,\quad \det J = \tfrac19",
    predict=_predict_regularised_gan,
    compute=_compute_regularised_gan,
    settings=_ETAS,
    draw=lambda rng: {"eta": float(rng.choice([rng.uniform(0.0, 2.4), rng.uniform(2.7, 5.0)]))},
    published=tuple({"eigenvalues": np.array(digits, complex), "det J": 0.111111111111} for digits in _GAN_DIGITS),
)

PORTRAITS: tuple[Claim, ...] = (NK05, NK06, NK08, NK09)
