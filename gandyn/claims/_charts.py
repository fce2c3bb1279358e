"""Stability charts: the largest step size against another number of the method, and the bifurcation at which it is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import numpy as np

import gandyn as gd

from ..maps._optax import OPTIMISERS
from ._algorithms import GIDEL, ORIGIN
from ._claim import MESCHEDER, NAGARAJAN_KOLTER, NIE_PATEL, NUMERICS, Claim, Source
from ._dirac import SLOPE, penalised
from ._dirac_steps import IN_TURN
from ._linear_gan import linear_gan, roots

MOKHTARI = Source(
    "Mokhtari, Ozdaglar and Pattathil (2020)",
    "A. Mokhtari, A. Ozdaglar and S. Pattathil. A unified analysis of extra-gradient and optimistic gradient methods for "
    "saddle point problems. AISTATS 2020.",
)
KINGMA_BA = Source("Kingma and Ba (2015)", "D. P. Kingma and J. Ba. Adam: a method for stochastic optimization. ICLR 2015.")

_MEAN, _SIGMA = (0.6, -0.8), 0.7
_SECOND_MOMENTS = (_SIGMA**2, _SIGMA**2 + 1.0)
_GAMMA = 0.3
# Adam's constants, large enough that the chart has numbers of order one.
_EPS, _EPS_ROOT = 0.3, 0.04


def _step(system: Any) -> Any:
    return system.h


def _learning_rate(system: Any) -> Any:
    return system.rules.numbers["learning_rate"]


def _located(step: gd.AbstractMap, point: gd.Players, where: Callable = _step) -> dict[str, Any]:
    """The lowest step size at which a method loses its equilibrium, by the general search, and the bifurcation there."""
    state = step.init(point)
    value = gd.threshold(step, where, state, (0.02, 40.0)).value
    there = eqx.tree_at(where, step, replace_fn=lambda _: value)
    multipliers = np.asarray(gd.stability(there, state, throw=False).eigenvalues)
    return {"critical step": value, "lost by": _bifurcation(multipliers[np.argmax(np.abs(multipliers))])}


def _bifurcation(multiplier: complex) -> str:
    if abs(multiplier.imag) > 1e-6:
        return "Neimark-Sacker"
    return "flip" if multiplier.real < 0 else "fold"


def _simultaneous(values: np.ndarray) -> dict[str, Any]:
    """What simultaneous descent on a flow of these eigenvalues does."""
    bounds = -2 * np.real(values) / np.abs(values) ** 2
    leading = values[np.argmin(bounds)]
    return {"critical step": bounds.min(), "lost by": _bifurcation(1 + bounds.min() * leading)}


def _by(name: str, low: float, high: float) -> Callable[[np.random.Generator], dict[str, float]]:
    return lambda rng: {name: float(rng.uniform(low, high))}


def _settings(name: str, *values: float) -> tuple[dict[str, float], ...]:
    return tuple({name: value} for value in values)


def _chart(
    step: gd.AbstractMap,
    point: gd.Players,
    axis: tuple[str, Callable, np.ndarray],
    predict: Callable,
    top: float,
    where: Callable = _step,
) -> Callable[[Any], None]:
    """The growth of a method over its step size and another number, with the closed form drawn on it."""
    name, lens, values = axis

    def growth(system: gd.AbstractMap) -> gd.Stability:
        return gd.stability(system, system.init(point), throw=False)

    def draw(ax: Any) -> None:
        steps = np.linspace(top / 120, top, 120)
        found = gd.sweep(growth, step, {name: (lens, values), "step size": (where, steps)}, progress=False)
        curve = np.array([predict(value)["critical step"] for value in values])
        gd.plot.chart(found, curves={"closed form": (values, np.where(curve <= top, curve, np.nan))}, ax=ax)

    return draw


_GRID = np.linspace(0.02, 3.0, 100)


def _weight(step: Any) -> Any:
    return step.flow.weight


def _r1(gamma: float) -> dict[str, Any]:
    return _simultaneous(roots(gamma, SLOPE**2))


def _r1_in_turn(gamma: float) -> dict[str, Any]:
    return {"critical step": (np.sqrt(gamma**2 + 4 * SLOPE**2) - gamma) / SLOPE**2, "lost by": "flip"}


def _in_turn(gamma: float) -> gd.AltGD:
    return gd.AltGD(penalised(gamma), 0.1, order=IN_TURN)


CH01 = Claim(
    key="CH01",
    source=MESCHEDER,
    title="The chart of R1 under simultaneous descent: bounded by a Neimark-Sacker curve, and by flips beyond critical gamma",
    formula=r"h_c = \gamma/f'(0)^2 \ (\gamma \le 2f'(0)), \qquad"
    r" h_c = \frac{2}{\gamma/2 + \sqrt{\gamma^2/4 - f'(0)^2}} \text{ above}",
    predict=_r1,
    compute=lambda gamma: _located(gd.SimGD(penalised(gamma), 0.1), ORIGIN),
    settings=_settings("gamma", 0.3, 2.5),
    draw=lambda rng: {"gamma": float(rng.choice([rng.uniform(0.1, 0.9), rng.uniform(1.1, 3.0)]))},
    published=({"critical step": 1.2}, {"critical step": 0.834848610088}),
    figure=_chart(gd.SimGD(penalised(1.0), 0.1), ORIGIN, (r"$\gamma$", _weight, _GRID), _r1, 5.0),
)

CH02 = Claim(
    key="CH02",
    source=MESCHEDER,
    title="The chart of R1 under alternating descent: bounded by flips for every gamma",
    formula=r"h_c = \frac{\sqrt{\gamma^2 + 4f'(0)^2} - \gamma}{f'(0)^2}",
    predict=_r1_in_turn,
    compute=lambda gamma: _located(_in_turn(gamma), ORIGIN),
    settings=_settings("gamma", 0.3, 2.5),
    draw=_by("gamma", 0.1, 3.0),
    published=({"critical step": 2.976122603564}, {"critical step": 0.770329614269}),
    figure=_chart(_in_turn(1.0), ORIGIN, (r"$\gamma$", _weight, _GRID), _r1_in_turn, 5.0),
)


# Only second moments enter at the equilibrium, which three nodes give exactly.
_GAUSSIAN = gd.Gaussian(np.zeros(2), _SIGMA**2, order=3)
_PLAIN, _REST = linear_gan(_MEAN, _SIGMA)
_GAN = replace(_PLAIN, real=gd.Gaussian(np.array(_MEAN), _SIGMA**2, order=3), latent=_GAUSSIAN)


def _across(damping: Callable[[float], float], product: Callable[[float], float]) -> dict[str, Any]:
    """Simultaneous descent on the linear GAN, a pair of whose eigenvalues has this damping and product for each moment."""
    return _simultaneous(np.concatenate([roots(damping(s), product(s)) for s in _SECOND_MOMENTS]))


def _linear(
    key: str, source: Source, title: str, formula: str, regularise: Callable, predict: Callable, lens: Callable = _weight
) -> Claim:
    """The chart of a regulariser of the linear GAN under simultaneous descent."""

    def step(weight: float) -> gd.SimGD:
        return gd.SimGD(regularise(_GAN, weight), 0.1)

    return Claim(
        key=key,
        source=source,
        title=title,
        formula=formula,
        predict=predict,
        compute=lambda weight: _located(step(weight), _REST),
        settings=_settings("weight", 0.5, 2.0),
        draw=_by("weight", 0.1, 3.0),
        figure=_chart(step(1.0), _REST, ("weight", lens, _GRID), predict, 6.0),
    )


_LOWEST = r"h_c = \min_\lambda \frac{2|{\rm Re}\,\lambda|}{|\lambda|^2}"

CH03 = _linear(
    "CH03",
    MESCHEDER,
    "The chart of instance noise of variance w on the linear GAN under simultaneous descent",
    r"\lambda^2 + \tfrac{s + w}2\lambda + \tfrac14 = 0,\ s = \sigma^2, \beta^2; \qquad " + _LOWEST,
    lambda gan, w: gd.instance_noise(gan, gd.Gaussian(np.zeros(2), w, order=3)),
    lambda weight: _across(lambda s: (s + weight) / 2, lambda s: 1 / 4),
    lambda step: step.flow.noise.covariance,
)

CH04 = _linear(
    "CH04",
    NAGARAJAN_KOLTER,
    "The chart of the discriminator's gradient norm (w = 2 eta) on the linear GAN under simultaneous descent",
    r"\lambda^2 + \left(\tfrac s2 + \tfrac w4\right)\lambda + \tfrac14 = 0; \qquad " + _LOWEST,
    lambda gan, w: gd.nagarajan_kolter(gan, w / 2),
    lambda weight: _across(lambda s: s / 2 + weight / 4, lambda s: 1 / 4),
)

CH05 = _linear(
    "CH05",
    NIE_PATEL,
    "The chart of JARE on the linear GAN under simultaneous descent",
    r"\lambda^2 + \tfrac{s + w}2\lambda + \tfrac{w^2 + 4}{16} = 0; \qquad " + _LOWEST,
    gd.jare,
    lambda weight: _across(lambda s: (s + weight) / 2, lambda s: (weight**2 + 4) / 16),
)

CH06 = _linear(
    "CH06",
    NUMERICS,
    "The chart of consensus optimisation on the linear GAN under simultaneous descent",
    r"\lambda^2 + \tfrac{2s + w(2 + s^2)}4\lambda + \tfrac{w^2 + 2ws + 4}{16} = 0; \qquad " + _LOWEST,
    gd.consensus,
    lambda weight: _across(lambda s: (2 * s + weight * (2 + s**2)) / 4, lambda s: (weight**2 + 2 * weight * s + 4) / 16),
)


def _heavy_ball(beta: float) -> dict[str, Any]:
    """The ellipse that h lambda fills where the heavy ball is stable, along the ray of R1's rotating pair."""
    real, imaginary = -_GAMMA / 2, np.sqrt(SLOPE**2 - _GAMMA**2 / 4)
    h = -2 * real / (1 + beta) / ((real / (1 + beta)) ** 2 + (imaginary / (1 - beta)) ** 2)
    return {"critical step": h, "lost by": "Neimark-Sacker"}


def _momentum(beta: float) -> gd.Momentum:
    return gd.Momentum(penalised(_GAMMA), 0.1, beta)


CH07 = Claim(
    key="CH07",
    source=GIDEL,
    title="The chart of momentum on the Dirac-GAN with R1, in the plane of its step size and beta",
    formula=r"\left(\frac{h\,{\rm Re}\,\lambda}{1 + \beta} + 1\right)^2"
    r" + \left(\frac{h\,{\rm Im}\,\lambda}{1 - \beta}\right)^2 = 1",
    predict=_heavy_ball,
    compute=lambda beta: _located(_momentum(beta), ORIGIN),
    settings=_settings("beta", -0.5, 0.5),
    draw=_by("beta", -0.8, 0.8),
    figure=_chart(
        _momentum(0.0), ORIGIN, (r"$\beta$", lambda step: step.beta, np.linspace(-0.95, 0.95, 100)), _heavy_ball, 3.0
    ),
)


def _past(beta: float) -> dict[str, Any]:
    return {"critical step": np.sqrt((2 * beta - 1) / (2 * beta + 1)) / beta, "lost by": "Neimark-Sacker"}


def _optimistic(beta: float) -> gd.Optimistic:
    return gd.Optimistic(gd.games.bilinear(), 0.1, beta)


CH08 = Claim(
    key="CH08",
    source=MOKHTARI,
    title="The chart of the generalised optimistic gradient on the bilinear game: stable for beta above one half",
    formula=r"x_{t+1} = x_t + h\left((1 + \beta)v(x_t) - \beta v(x_{t-1})\right): \qquad"
    r" h_c = \frac1\beta\sqrt{\frac{2\beta - 1}{2\beta + 1}}",
    predict=_past,
    compute=lambda beta: _located(_optimistic(beta), ORIGIN),
    settings=_settings("beta", 0.6, 1.0),
    draw=_by("beta", 0.55, 2.0),
    published=({}, {"critical step": 3**-0.5}),
    figure=_chart(_optimistic(1.0), ORIGIN, (r"$\beta$", lambda step: step.beta, np.linspace(0.51, 2.0, 100)), _past, 1.0),
)


def _adam_boundary(b1: float) -> dict[str, Any]:
    """At rest the second moments vanish, and Adam is the heavy ball with a step divided by its constants."""
    unit = (np.sqrt(_EPS_ROOT) + _EPS) / (1 - b1)
    return {**_heavy_ball(b1), "critical step": unit * _heavy_ball(b1)["critical step"]}


def _adam(b1: float) -> gd.Optax:
    return gd.Optax(penalised(_GAMMA), OPTIMISERS["adam"], learning_rate=0.1, b1=b1, b2=0.9, eps=_EPS, eps_root=_EPS_ROOT)


CH09 = Claim(
    key="CH09",
    source=KINGMA_BA,
    title="The chart of Adam on the Dirac-GAN with R1: that of momentum, with the step size in units of its constants",
    formula=r"h_c = \frac{\sqrt{\epsilon_0} + \epsilon}{1 - \beta_1}\,h_c^{\rm momentum}(\beta_1)",
    predict=_adam_boundary,
    compute=lambda b1: _located(_adam(b1), ORIGIN, _learning_rate),
    settings=_settings("b1", 0.0, 0.5),
    draw=_by("b1", 0.0, 0.9),
    figure=_chart(
        _adam(0.0),
        ORIGIN,
        (r"$\beta_1$", lambda step: step.rules.numbers["b1"], np.linspace(0.0, 0.95, 100)),
        _adam_boundary,
        1.2,
        _learning_rate,
    ),
)

CLAIMS = (CH01, CH02, CH03, CH04, CH05, CH06, CH07, CH08, CH09)
