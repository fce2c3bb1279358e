"""Proximal equilibria and proximal training, on quadratic games V = a x^2/2 + c x y - b y^2/2 where all is known."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

import gandyn as gd

from ._algorithms import ALTERNATING, ORIGIN, verdict
from ._claim import FARNIA_OZDAGLAR, Claim
from ._methods import PACKAGE

_PRICES = (0.0, 0.1, 1.0, 10.0, 1000.0)


def _proximal(a: Any, b: Any, c: Any, lam: float) -> gd.Proximal:
    return gd.Proximal(gd.games.quadratic(a, c, b), lam)


def _at(x: float, y: float) -> gd.Players:
    return gd.Players(jnp.asarray(x), jnp.asarray(y))


@eqx.filter_jit
def _evaluated(game: gd.Proximal, point: gd.Players) -> tuple[Any, Any, Any]:
    return game.losses(point)[0], game.maximum(point).discriminator, game(point)


def _matrix(system: gd.AbstractSystem, rest: gd.Players) -> np.ndarray:
    parts = gd.blocks(system, rest)
    return np.block([[np.asarray(parts[row, column]) for column in ALTERNATING] for row in ALTERNATING])


def _curvature(game: gd.AbstractGame) -> float:
    """How what the generator faces curves along its own coordinate at the equilibrium."""
    return -float(_matrix(game, ORIGIN)[0, 0])


def _family(a: float, b: float, c: float, lam: float, x: float, y: float) -> dict[str, Any]:
    inner, largest = b + 2 * lam, (c**2 / abs(a) - b) / 2
    return {
        "value": (a + c**2 / inner) * x**2 / 2 + 2 * lam * c / inner * x * y - lam * b / inner * y**2,
        "curvatures": np.array([a + c**2 / (b + 2 * price) for price in _PRICES]),
        "largest price": largest,
        "Nash": a >= 0,
        "Stackelberg": a + c**2 / b >= 0,
        "proximal": lam <= largest,
    }


def _family_computed(a: float, b: float, c: float, lam: float, x: float, y: float) -> dict[str, Any]:
    def curvature(price: float) -> float:
        return _curvature(_proximal(a, b, c, price))

    return {
        "value": _evaluated(_proximal(a, b, c, lam), _at(x, y))[0],
        "curvatures": np.array([curvature(price) for price in _PRICES]),
        "largest price": brentq(curvature, 0.0, 1e3, xtol=1e-14),
        "Nash": _curvature(gd.games.quadratic(a, c, b)) >= 0,
        "Stackelberg": curvature(0.0) >= 0,
        "proximal": curvature(lam) >= 0,
    }


def _draw(rng: np.random.Generator) -> dict[str, Any]:
    a, b, c, lam = rng.uniform((-1.5, 0.2, 2.0, 0.3), (-0.3, 1.0, 3.0, 5.0))
    return {"a": float(a), "b": float(b), "c": float(c), "lam": float(lam)}


def _draw_point(rng: np.random.Generator) -> dict[str, Any]:
    x, y = rng.normal(size=2)
    return {**_draw(rng), "x": float(x), "y": float(y)}


FO07 = Claim(
    "FO07",
    FARNIA_OZDAGLAR,
    "On a quadratic game the proximal equilibria lie between Nash and Stackelberg, fewer the higher the price",
    r"V_\lambda = \Bigl(a + \frac{c^2}{b + 2\lambda}\Bigr)\frac{x^2}{2} + \frac{2\lambda c}{b + 2\lambda}\,xy "
    r"- \frac{\lambda b}{b + 2\lambda}\,y^2, \qquad \lambda \le \frac12\Bigl(\frac{c^2}{|a|} - b\Bigr) \text{ for } a < 0",
    _family,
    _family_computed,
    ({"a": -1.0, "b": 1.0, "c": 3.0, "lam": 0.8, "x": 0.7, "y": -0.4},),
    _draw_point,
    published=({"value": 0.0369230769231, "largest price": 4.0},),
)


def _envelope(a: float, b: float, c: float, lam: float, x: float, y: float) -> dict[str, Any]:
    maximum = (c * x + 2 * lam * y) / (b + 2 * lam)
    return {"maximum": maximum, "generator": a * x + c * maximum, "discriminator": 2 * lam * (maximum - y)}


def _envelope_computed(a: float, b: float, c: float, lam: float, x: float, y: float) -> dict[str, Any]:
    _, maximum, field = _evaluated(_proximal(a, b, c, lam), _at(x, y))
    return {"maximum": maximum, "generator": -field.generator, "discriminator": field.discriminator}


FO08 = Claim(
    "FO08",
    FARNIA_OZDAGLAR,
    "The gradient of the proximal objective is that of the objective at the inner maximum, and a pull towards it",
    r"\nabla_x V_\lambda = \nabla_x V(x, \tilde y), \qquad \nabla_y V_\lambda = 2\lambda(\tilde y - y)",
    _envelope,
    _envelope_computed,
    FO07.settings,
    _draw_point,
    published=({"generator": 0.984615384615, "discriminator": 1.53846153846},),
)


def _bilinear(c: Any, lam: float) -> dict[str, Any]:
    matrix = np.atleast_2d(c)
    m = matrix.shape[1]
    jacobian = np.block([[-matrix @ matrix.T / (2 * lam), -matrix], [matrix.T, np.zeros((m, m))]])
    values = np.linalg.eigvals(jacobian).astype(complex)
    return {"proximal game": values, "gradient norm": values}


def _bilinear_computed(c: Any, lam: float) -> dict[str, Any]:
    game = gd.games.bilinear(c)
    n, m = np.atleast_2d(c).shape
    rest = ORIGIN if np.ndim(c) == 0 else gd.Players(jnp.zeros(n), jnp.zeros(m))
    flows = {"proximal game": gd.Proximal(game, lam), "gradient norm": gd.nagarajan_kolter(game, 1 / (4 * lam))}
    return {name: np.linalg.eigvals(_matrix(flow, rest)).astype(complex) for name, flow in flows.items()}


FO09 = Claim(
    "FO09",
    PACKAGE,
    "Proximal training of a bilinear game is the gradient-norm regulariser of Nagarajan and Kolter (2017)",
    r"V_\lambda = x^\top Cy + \frac{\lVert C^\top x\rVert^2}{4\lambda}: \quad "
    r"J = \begin{pmatrix} -\frac{1}{2\lambda}CC^\top & -C \\ C^\top & 0 \end{pmatrix}, \quad \eta = \frac{1}{4\lambda}",
    _bilinear,
    _bilinear_computed,
    ({"c": 1.5, "lam": 0.9}, {"c": [[1.0, 0.5], [-0.3, 2.0], [0.2, 0.1]], "lam": 0.4}),
    lambda rng: {"c": rng.normal(size=(3, 2)).tolist(), "lam": float(rng.uniform(0.2, 0.6))},
    published=({"proximal game": np.array([-0.625 - 1.36358901433j, -0.625 + 1.36358901433j])},),
)


def _strict(a: float, b: float, c: float, lam: float) -> dict[str, Any]:
    inner = b + 2 * lam
    own, across, other = a + c**2 / inner, 2 * lam * c / inner, 2 * lam * b / inner
    values = np.linalg.eigvals([[-own, -across], [across, -other]]).astype(complex)
    # Alternating steps: tr = -1 - det at the roots, which are real here, and det = 1 at the last.
    ends = np.append(np.roots([own * other - across**2, -2 * (own + other), 4.0]).real, (own + other) / (own * other))
    predicted = {
        "eigenvalues": values,
        "verdict": verdict(own + other > 0),
        "critical step, simultaneous": np.min(2 * np.abs(np.real(values)) / np.abs(values) ** 2),
        "critical step, alternating": np.min(ends[ends > 0]),
        "where it is not strict, for b = 0": "marginal",
    }
    return predicted | ({"unstable beyond the price": -(a * b + c**2) / (2 * (a + b))} if a + b < 0 else {})


def _strict_computed(a: float, b: float, c: float, lam: float) -> dict[str, Any]:
    game = _proximal(a, b, c, lam)
    found = gd.stability(game, ORIGIN)

    def radius(h: float) -> np.floating:
        return np.abs(np.linalg.eigvals(_matrix(gd.AltGD(game, h), ORIGIN))).max()

    computed = {
        "eigenvalues": found.eigenvalues,
        "verdict": found.verdict,
        "critical step, simultaneous": float(gd.critical_step(gd.SimGD(game, 0.1), ORIGIN).value),
        "critical step, alternating": brentq(lambda h: radius(h) - 1, 0.02, 4.0, xtol=1e-14),
        "where it is not strict, for b = 0": gd.stability(_proximal(a, 0.0, c, c**2 / (2 * abs(a))), ORIGIN).verdict,
    }
    if a + b < 0:
        computed["unstable beyond the price"] = gd.threshold(game, lambda s: s.lam, ORIGIN, (0.5, 40.0)).value
    return computed


def _strict_literal(**_: float) -> dict[str, Any]:
    return {"critical step, simultaneous": np.inf, "critical step, alternating": np.inf}


def _draw_strict(rng: np.random.Generator) -> dict[str, Any]:
    b, c, lam = map(float, rng.uniform((0.3, 2.7, 1.0), (0.8, 3.3, 3.0)))
    return {"a": -1.0, "b": b, "c": c, "lam": lam}


def _both(game: gd.Proximal) -> tuple[Any, Any]:
    """How what the generator faces curves, and the growth of the flow."""
    matrix = gd.linearize(game, ORIGIN).as_matrix()
    return -matrix[0, 0], jnp.linalg.eigvals(matrix).real.max()


def _figure(ax: Any) -> None:
    a, b, c = (FO10.settings[1][name] for name in "abc")
    prices = np.linspace(0.0, 12.0, 241)
    curvatures, growths = gd.sweep(_both, _proximal(a, b, c, 1.0), {"lam": (lambda s: s.lam, prices)}, progress=False).values
    ax.plot(prices, curvatures, label=r"curvature of $V_\lambda$ in $x$")
    ax.plot(prices, growths, "--", label=r"growth $\max\,{\rm Re}\,\mu$ of the flow")
    ax.axhline(0, color="0.7", linewidth=0.6)
    ends = {"proximal": (c**2 / abs(a) - b) / 2, "stable": -(a * b + c**2) / (2 * (a + b))}
    for name, price in ends.items():
        ax.axvline(price, color="0.6", linewidth=0.8, linestyle=":")
        ax.annotate(f"{name} up to here", (price, 3.9), rotation=90, ha="right", va="top", fontsize=7)
    ax.set(xlabel=r"price $\lambda$", ylim=(-2.5, 4.0), xlim=(0, 12), title="Stable beyond what is proximal")
    ax.legend(loc="lower right")


FO10 = Claim(
    "FO10",
    FARNIA_OZDAGLAR,
    "A strict proximal equilibrium is stable for the proximal flow, and for algorithms whose steps are small enough",
    r"J = \begin{pmatrix} -\bigl(a + \frac{c^2}{b + 2\lambda}\bigr) & -\frac{2\lambda c}{b + 2\lambda} \\ "
    r"\frac{2\lambda c}{b + 2\lambda} & -\frac{2\lambda b}{b + 2\lambda} \end{pmatrix}, \qquad "
    r"\text{stable for } ab + c^2 + 2\lambda(a + b) > 0",
    _strict,
    _strict_computed,
    ({"a": -1.0, "b": 1.0, "c": 3.0, "lam": 2.0}, {"a": -1.0, "b": 0.5, "c": 3.0, "lam": 2.0}),
    _draw_strict,
    published=({"eigenvalues": np.array([-0.8 - 2.4j, -0.8 + 2.4j])},),
    literal=_strict_literal,
    correction="Proximal equilibria are said to be stable limit points of every alternating gradient method. They are so for "
    "the flow if they are strict, and for a method up to its critical step size.",
    figure=_figure,
)

CLAIMS = (FO07, FO08, FO09, FO10)
