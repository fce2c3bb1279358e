"""Farnia and Ozdaglar (2020): the 1-Lipschitz WGAN, the vanilla GAN, the plane, and data that the generator can reach."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import quad
from scipy.optimize import root_scalar
from scipy.stats import norm

import gandyn as gd

from ._claim import FARNIA_OZDAGLAR, Claim
from ._farnia_ozdaglar import best, coordinates, state, transport, value


def _line(sigma: float, a: float, b: float) -> dict[str, Any]:
    centre, spread = b * sigma / (sigma - a), 12 * sigma
    # The distance of first order is the area between the distribution functions, which cross at the kink.
    area = [
        quad(lambda u: abs(norm.cdf(u, 0, sigma) - norm.cdf(u, b, a)), *ends, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
        for ends in ((-spread, centre), (centre, spread))
    ]
    there = abs(b) if a == 1 and b != 0 else 1.0
    return {"x0": centre, "W1": sum(area), "verdict": "profitable", "|b| after the best move": there}


def _line_computed(sigma: float, a: float, b: float) -> dict[str, Any]:
    game = gd.games.lipschitz_gaussian(sigma**2)
    x = best(game, state((a, b), 0.0))
    found = gd.best_response(game, x, "generator", (-1.0, 1.0))
    return {
        "x0": x.discriminator,
        "W1": value(game, x),
        "verdict": found.verdict,
        "|b| after the best move": abs(found.move.generator[1]),
    }


def _folded(mean: float, spread: float) -> float:
    wide = spread * np.sqrt(2 / np.pi) * np.exp(-((mean / spread) ** 2) / 2)
    return float(wide + mean * (1 - 2 * norm.cdf(-mean / spread)))


def _line_gap(sigma: float) -> dict[str, Any]:
    return {"W1": np.sqrt(2 / np.pi) * (sigma - 1), "gain": _folded(1.0, 1.0) - _folded(0.0, 1.0)}


def _line_gap_computed(sigma: float) -> dict[str, Any]:
    game = gd.games.lipschitz_gaussian(sigma**2)
    x = best(game, state((1.0, 0.0), 0.1))
    return {"W1": value(game, x), "gain": gd.best_response(game, x, "generator", (-1.0, 1.0)).gain}


FO11 = Claim(
    "FO11",
    FARNIA_OZDAGLAR,
    "The 1-Lipschitz WGAN on the line has no Nash equilibrium: against |x| the generator moves away from the data's mean",
    r"W_1 = \sqrt{2/\pi}\,(\sigma-1), \qquad \text{gain} = \sqrt{2/\pi}\,(e^{-1/2}-1) + \operatorname{erf}(1/\sqrt2)",
    _line_gap,
    _line_gap_computed,
    ({"sigma": 2.0},),
    lambda rng: {"sigma": float(rng.uniform(1.5, 3.0))},
    published=({"W1": 0.797884560803, "gain": 0.368746380373},),
)

FO11B = Claim(
    "FO11b",
    FARNIA_OZDAGLAR,
    "Against every generator of the box the best 1-Lipschitz discriminator is |x - x0|, and the generator then leaves",
    r"x_0 = \frac{b\sigma}{\sigma-a}, \qquad V = W_1(P_X, P_G) = \int |F_X - F_G|",
    _line,
    _line_computed,
    ({"sigma": 2.0, "a": 0.5, "b": 0.4}, {"sigma": 2.0, "a": 0.8, "b": -0.3}),
    lambda rng: {"sigma": 2.0, "a": float(rng.uniform(0.3, 0.9)), "b": float(rng.uniform(-0.5, 0.5))},
)


def _log_sigmoid(t: float) -> float:
    return -float(np.logaddexp(0.0, -t))


def _ratio(sigma: float, a: float, b: float) -> tuple[float, float, float]:
    """The logarithm of the ratio of the densities, as a polynomial."""
    return (1 / a**2 - 1 / sigma**2) / 2, -b / a**2, (b / a) ** 2 / 2 + np.log(a / sigma)


def _payoff(sigma: float, generator: tuple[float, float], form: tuple[float, float, float]) -> float:
    """The generator's part of V, by SciPy."""
    a, b = generator

    def integrand(z: float) -> float:
        u = a * z + b
        return float(norm.pdf(z)) * _log_sigmoid(-(form[0] * u**2 + form[1] * u + form[2]))

    return quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-13, limit=400)[0]


def _vanilla(sigma: float, a: float, b: float) -> dict[str, Any]:
    form = _ratio(sigma, a, b)
    corner = min(_payoff(sigma, (1.0, side), form) for side in (-1.0, 1.0))
    return {"D": np.array(form), "gain": _payoff(sigma, (a, b), form) - corner, "verdict": "profitable"}


def _vanilla_computed(sigma: float, a: float, b: float) -> dict[str, Any]:
    game = gd.games.vanilla_gaussian(covariance=sigma**2)
    x = best(game, state((a, b), (0.0, 0.0, 0.0)))
    found = gd.best_response(game, x, "generator", (-1.0, 1.0))
    return {"D": coordinates(x.discriminator), "gain": found.gain, "verdict": found.verdict}


FO12 = Claim(
    "FO12",
    FARNIA_OZDAGLAR,
    "The vanilla GAN with every discriminator allowed has no Nash equilibrium either",
    r"D = \log\frac{p_X}{p_G}: \qquad V(G, D_G) - \min_{G'} V(G', D_G) > 0",
    _vanilla,
    _vanilla_computed,
    ({"sigma": 2.0, "a": 1.0, "b": 0.0}, {"sigma": 2.0, "a": 1.0, "b": 1.0}, {"sigma": 2.0, "a": 0.6, "b": 0.5}),
    published=({"gain": 0.229848439157}, {"gain": 1.398419498725}),
)


def _plane(first: float, second: float, beta: float) -> dict[str, Any]:
    return {
        "W": beta * (first - 1) ** 2,
        "W of the laws": beta * (first - 1) ** 2,
        "D": np.array([beta * (1 - 1 / first), 0, 0, 0, 0]),
        "gain": beta * (first - 1),
        "largest lambda": first / (4 * beta * (first - 1)),
    }


PLANE = gd.games.unit_generator(matrix=True)


@jax.jit
def _second_order(game: gd.AbstractGame, x: gd.Players) -> tuple[Any, Any]:
    """The second derivatives of V in the shift of the generator and the discriminator, and those of the price."""
    start, unravel = ravel_pytree((x.generator[1], x.discriminator))

    def moved(v: Any) -> gd.Players:
        shift, discriminator = unravel(v)
        return gd.Players((x.generator[0], shift), discriminator)

    second = jax.hessian(lambda v: game.losses(moved(v))[0])(start)
    return second, jax.hessian(lambda v: gd.sobolev(game, moved(v), x))(start)


def _largest(game: gd.AbstractGame, x: gd.Players) -> float:
    """Where the proximal value, seen along the shift, stops to be convex.

    Along the matrix it is flat: a rotation of the latent points changes no law.
    """
    n = x.generator[1].size
    value, price = (np.asarray(matrix) for matrix in _second_order(game, x))

    def least(lam: float) -> float:
        inner = value[n:, n:] - lam * price[n:, n:]
        return float(np.linalg.eigvalsh(value[:n, :n] - value[:n, n:] @ np.linalg.solve(inner, value[n:, :n]))[0])

    return root_scalar(least, bracket=(1e-3, 1e3), xtol=1e-14).root


def _plane_computed(first: float, second: float, beta: float) -> dict[str, Any]:
    game = gd.games.w2_gaussian([first**2, second**2], beta)
    x = best(game, state((np.diag([1.0, second]), np.zeros(2)), (np.zeros(3), np.zeros(2))))
    laws = [gd.Gaussian(jnp.zeros(2), jnp.array([width**2, second**2])) for width in (first, 1.0)]
    return {
        "W": value(game, x),
        "W of the laws": beta * gd.wasserstein2(*laws) ** 2,
        "D": coordinates(x.discriminator),
        "gain": gd.best_response(game, x, "generator", (-1.0, 1.0), constraint=PLANE, cells=1000).gain,
        "largest lambda": _largest(game, x),
    }


FO13 = Claim(
    "FO13",
    FARNIA_OZDAGLAR,
    "The W2GAN in the plane, with data wider than the generator in one direction only",
    r"W = \beta(\sigma_1-1)^2,\ \Lambda = \beta\,\mathrm{diag}(1-1/\sigma_1, 0),\ "
    r"\lambda_c = \frac{\sigma_1}{4\beta(\sigma_1-1)}",
    _plane,
    _plane_computed,
    ({"first": 2.0, "second": 0.5, "beta": 1.0},),
    published=({"W": 1.0, "gain": 1.0, "largest lambda": 0.5},),
)


def _descent(flow: gd.AbstractFlow) -> gd.AbstractMap:
    return gd.SimGD(flow, 0.25)


def _independent(first: float, second: float, beta: float) -> dict[str, Any]:
    found = _plane(first, second, beta)
    ends = {"A A^T": np.diag([1.0, second**2]), "b": np.zeros(2), "inf V(G, D*)": found["W"] - found["gain"]}
    return {"W": found["W"], "D": found["D"], **ends}


def _independent_computed(first: float, second: float, beta: float) -> dict[str, Any]:
    game = gd.games.w2_gaussian([first**2, second**2], beta)
    start = state((np.array([[0.8, 0.2], [-0.1, 0.7]]), np.array([0.3, -0.2])), (np.zeros(3), np.zeros(2)))
    # The generator descends what the best discriminator makes of it.
    facing = gd.Proximal(game, 0.0)
    end = gd.keep_optimising(facing, start, 80, method=_descent, constraint=PLANE, points=2).final
    x = best(game, end)
    (a, b), response = x.generator, gd.best_response(game, x, "generator", (-1.0, 1.0), constraint=PLANE, cells=1000)
    return {
        "W": value(game, x),
        "D": coordinates(x.discriminator),
        "A A^T": a @ a.T,
        "b": b,
        "inf V(G, D*)": value(game, x) - response.gain,
    }


FO15 = Claim(
    "FO15",
    FARNIA_OZDAGLAR,
    "The same by optimisation alone: a generator that descends the best discriminator's payoff, and its best response then",
    r"AA^\top = \mathrm{diag}(1, \sigma_2^2),\ b = 0,\ W = \beta(\sigma_1-1)^2,\ \inf_G V(G, D^*) = W - \beta(\sigma_1-1)",
    _independent,
    _independent_computed,
    ({"first": 2.0, "second": 0.5, "beta": 1.0},),
    published=({"W": 1.0, "D": np.array([0.5, 0, 0, 0, 0]), "inf V(G, D*)": 0.0},),
)


def _reachable(beta: float) -> dict[str, Any]:
    return {"spread of V(G, D*)": 0.0, "max V(G*, D)": 0.0, "generator": "none", "discriminator": "none"}


@jax.jit
def _spread(game: gd.AbstractGame, discriminator: Any) -> Any:
    a, b = jnp.meshgrid(jnp.linspace(-1.0, 1.0, 21), jnp.linspace(-1.0, 1.0, 41))
    values = jax.vmap(jax.vmap(lambda *generator: game.losses(gd.Players(generator, discriminator))[0]))(a, b)
    return jnp.max(values) - jnp.min(values)


def _reachable_computed(beta: float) -> dict[str, Any]:
    game, x = transport(1.0, beta), state((1.0, 0.0), (0.0, 0.0))
    generator = gd.best_response(game, x, "generator", (-1.0, 1.0))
    box = (state((), (-2.0 * beta, -2.0 * beta)).discriminator, state((), (0.9 * beta, 2.0 * beta)).discriminator)
    discriminator = gd.best_response(game, x, "discriminator", box)
    return {
        "spread of V(G, D*)": _spread(game, x.discriminator),
        "max V(G*, D)": value(game, best(game, x)),
        "generator": generator.verdict,
        "discriminator": discriminator.verdict,
    }


FO14 = Claim(
    "FO14",
    FARNIA_OZDAGLAR,
    "Where the generator reaches the data there is a Nash equilibrium, with a constant discriminator",
    r"P_{G^*} = P_X: \qquad V(G, 0) = 0, \quad V(G^*, D) \le 0",
    _reachable,
    _reachable_computed,
    ({"beta": 1.0},),
    lambda rng: {"beta": float(rng.uniform(0.5, 2.0))},
)

CLAIMS = [FO11, FO11B, FO12, FO13, FO14, FO15]
