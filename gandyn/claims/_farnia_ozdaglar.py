"""Farnia and Ozdaglar (2020): optimal transport to Gaussian data by an affine generator that is too small for them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from scipy.optimize import root_scalar

import gandyn as gd

from ._claim import FARNIA_OZDAGLAR, Claim

UNIT = gd.games.unit_generator()
SIGMAS = (1.2, 1.5, 2.0, 4.0, 1.05, 1.1, 1.3, 1.4, 1.75, 2.5, 3.0, 6.0, 10.0)


def state(generator: tuple[Any, ...], discriminator: Any) -> gd.Players:
    """A state of arrays."""
    return gd.Players(*jax.tree.map(lambda v: jnp.asarray(v, float), (generator, discriminator)))


@jax.jit
def value(game: gd.AbstractGame, x: gd.Players) -> Array:
    """V, the loss of the generator."""
    return game.losses(x)[0]


@jax.jit
def best(game: gd.AbstractGame, x: gd.Players) -> gd.Players:
    """The state with the discriminator that maximises its payoff, solved for to rounding."""
    return gd.Proximal(game, 0.0).maximum(x)


def transport(sigma: float, beta: float) -> gd.AbstractGame:
    """The W2GAN in one dimension."""
    return gd.games.w2_gaussian(sigma**2, beta)


def stackelberg(sigma: float, beta: float) -> gd.Players:
    """The widest generator, and the discriminator that is solved for against it."""
    return best(transport(sigma, beta), state((1.0, 0.0), (0.0, 0.0)))


def largest(sigma: float, beta: float) -> gd.Notions:
    """Which equilibrium that is, with the price in the Sobolev norm."""
    return gd.notions(transport(sigma, beta), stackelberg(sigma, beta), norm=gd.sobolev, constraint=UNIT)


def coordinates(part: PyTree) -> np.ndarray:
    """A player's numbers."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(part)])


def _value(sigma: float, beta: float, a: float, b: float, p: float, q: float) -> dict[str, Any]:
    moment = q**2 + 4 * beta * q * b + 4 * beta**2 * (a**2 + b**2)
    exact = p * sigma**2 - moment / (4 * (beta - p)) + beta * (a**2 + b**2)
    return {"V": exact, "finite at p": True, "finite at p = beta": False}


def _value_computed(sigma: float, beta: float, a: float, b: float, p: float, q: float) -> dict[str, Any]:
    game = transport(sigma, beta)
    values = [float(value(game, state((a, b), (curvature, q)))) for curvature in (p, beta)]
    return {"V": values[0], "finite at p": np.isfinite(values[0]), "finite at p = beta": np.isfinite(values[1])}


def _drawn(rng: np.random.Generator) -> dict[str, Any]:
    beta = float(rng.uniform(0.5, 2.0))
    pair = {"sigma": float(rng.uniform(1.2, 3.0)), "beta": beta}
    return {**pair, "a": float(rng.uniform(0.1, 1)), "b": float(rng.uniform(-1, 1))}


FO01 = Claim(
    "FO01",
    FARNIA_OZDAGLAR,
    "The value of the W2GAN in one dimension, for discriminators whose curvature is below that of the cost",
    r"V = p\sigma^2 - \frac{q^2+4\beta qb+4\beta^2(a^2+b^2)}{4(\beta-p)} + \beta(a^2+b^2), \qquad p < \beta",
    _value,
    _value_computed,
    (
        {"sigma": 2.0, "beta": 1.0, "a": 0.6, "b": 0.3, "p": 0.2, "q": -0.5},
        {"sigma": 2.0, "beta": 1.0, "a": 1.0, "b": 0.0, "p": 0.5, "q": 0.0},
    ),
    lambda rng: {**_drawn(rng), "p": float(rng.uniform(-1, 0.4)), "q": float(rng.normal())},
    published=({"V": 0.796875}, {"V": 1.0}),
)


def _optimum(sigma: float, beta: float, a: float, b: float) -> dict[str, Any]:
    cost = beta * ((sigma - a) ** 2 + b**2)
    return {"p": beta * (1 - a / sigma), "q": -2 * beta * b, "W": cost, "W of the laws": cost, "E|D'|^2 / (4 beta)": cost}


def _optimum_literal(sigma: float, beta: float, a: float, b: float) -> dict[str, Any]:
    return {"E|D'|^2 / (4 beta)": 4 * _optimum(sigma, beta, a, b)["W"]}


def _optimum_computed(sigma: float, beta: float, a: float, b: float) -> dict[str, Any]:
    game, flat = transport(sigma, beta), state((a, b), (0.0, 0.0))
    found = best(game, flat)
    return {
        "p": found.discriminator[0],
        "q": found.discriminator[1],
        "W": value(game, found),
        "W of the laws": beta * gd.wasserstein2(gd.Gaussian(0.0, sigma**2), gd.Gaussian(b, a**2)) ** 2,
        "E|D'|^2 / (4 beta)": gd.sobolev(game, found, flat) / (4 * beta),
    }


FO02 = Claim(
    "FO02",
    FARNIA_OZDAGLAR,
    "The best discriminator is the potential of optimal transport, and its slope has the distance as its mean square",
    r"p = \beta(1 - a/\sigma),\ q = -2\beta b: \quad W = \beta\left((\sigma-a)^2+b^2\right) = \frac1{4\beta}\mathbb E|D'|^2",
    _optimum,
    _optimum_computed,
    ({"sigma": 2.0, "beta": 1.0, "a": 0.6, "b": 0.3},),
    _drawn,
    published=({"p": 0.7, "q": -0.6, "W": 2.05, "E|D'|^2 / (4 beta)": 2.05},),
    literal=_optimum_literal,
    correction="The constant is 1/(4 beta) for the cost beta |x - y|^2, and not 1/beta.",
)


def _deviation(sigma: float, beta: float) -> dict[str, Any]:
    gap = beta * (sigma - 1)
    return {
        "V": beta * (sigma - 1) ** 2,
        "curvature of V in b": -2 * gap,
        "local Nash equilibrium": False,
        "gain": gap,
        "|b| after it": 1.0,
        "gain of going on alone": gap,
    }


def _descent(flow: gd.AbstractFlow) -> gd.AbstractMap:
    return gd.SimGD(flow, 0.2)


def _deviation_computed(sigma: float, beta: float) -> dict[str, Any]:
    game, x = transport(sigma, beta), stackelberg(sigma, beta)
    found = largest(sigma, beta)
    response = gd.best_response(game, x, "generator", (-1.0, 1.0))
    aside = gd.Players((x.generator[0], jnp.asarray(0.05)), x.discriminator)
    alone = gd.keep_optimising(game, aside, 100, method=_descent, constraint=UNIT, points=2)
    return {
        "V": value(game, x),
        "curvature of V in b": found.nash.generator.eigenvalues[0],
        "local Nash equilibrium": found.nash.verdict != "no",
        "gain": response.gain,
        "|b| after it": abs(response.move.generator[1]),
        "gain of going on alone": value(game, x) - alone.loss[-1],
    }


def _plot_deviation(ax: Any) -> None:
    sigma, beta = 2.0, 1.0
    game, x = transport(sigma, beta), stackelberg(sigma, beta)
    a, b = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(-1, 1, 81))
    generators = (jnp.asarray(a).reshape(-1), jnp.asarray(b).reshape(-1))
    heights = jax.vmap(lambda generator: value(game, gd.Players(generator, x.discriminator)))(generators)
    lines = ax.contourf(a, b, np.asarray(heights).reshape(a.shape), 12, cmap="viridis")
    ax.figure.colorbar(lines, ax=ax, label="$V(G, D^*)$", pad=0.02)
    found = gd.best_response(game, x, "generator", (-1.0, 1.0))
    end = [float(leaf) for leaf in found.move.generator]
    ax.annotate("", (abs(end[0]), end[1]), (1.0, 0.0), arrowprops={"arrowstyle": "->", "color": "C1", "lw": 1.5})
    ax.plot(1.0, 0.0, "o", color="C1", clip_on=False, zorder=5, label="$G^*$, best against its best discriminator")
    ax.plot(abs(end[0]), end[1], "s", color="C1", clip_on=False, zorder=5, label=f"best response: gain {float(found.gain):.3g}")
    ax.set(xlabel="$a$", ylabel="$b$", title="No Nash equilibrium")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


FO03 = Claim(
    "FO03",
    FARNIA_OZDAGLAR,
    "The W2GAN has no Nash equilibrium, not even a local one: the generator would rather leave the best discriminator",
    r"G^* = (1, 0): \quad V(G, D^*) = \text{const} - \beta(\sigma-1)(a^2+b^2)",
    _deviation,
    _deviation_computed,
    ({"sigma": 2.0, "beta": 1.0},),
    lambda rng: {name: _drawn(rng)[name] for name in ("sigma", "beta")},
    published=({"V": 1.0, "gain": 1.0},),
    figure=_plot_deviation,
)


def _threshold(sigma: float, beta: float) -> dict[str, Any]:
    largest = sigma / (4 * beta * (sigma - 1))
    return {"largest lambda": largest, "at 1/(4 beta)": True, "at 1/beta": largest >= 1 / beta}


def _threshold_literal(sigma: float, beta: float) -> dict[str, Any]:
    return {"largest lambda": 1 / beta, "at 1/beta": True}


def _threshold_computed(sigma: float, beta: float) -> dict[str, Any]:
    found = largest(sigma, beta)
    proximal = {
        "at 1/(4 beta)": found.proximal_at(0.25 / beta) != "no",
        "at 1/beta": found.proximal_at(1 / beta) != "no",
    }
    return {"largest lambda": found.proximal, **proximal}


def _plot_threshold(ax: Any) -> None:
    sigmas = np.linspace(1.05, 6.0, 34)
    ax.plot(sigmas, [float(largest(sigma, 1.0).proximal) for sigma in sigmas], ".", label="computed")
    fine = np.linspace(1.05, 6.0, 400)
    ax.plot(fine, fine / (4 * (fine - 1)), lw=1.0, label=r"$\sigma/(4\beta(\sigma-1))$")
    ax.axhline(0.25, ls="--", color="C2", label=r"$1/(4\beta)$, for all $\sigma$")
    ax.axhline(1.0, ls=":", color="C3", label=r"$1/\beta$, as printed")
    ax.set(xlabel=r"$\sigma$", ylabel=r"largest $\lambda\beta$", ylim=(0, 3), title="Where the equilibrium is proximal")
    ax.legend()


FO04 = Claim(
    "FO04",
    FARNIA_OZDAGLAR,
    "The largest lambda for which the best generator of the W2GAN is a proximal equilibrium, in the Sobolev norm",
    r"\lambda_c = \frac{\sigma}{4\beta(\sigma-1)} > \frac1{4\beta}",
    _threshold,
    _threshold_computed,
    tuple({"sigma": sigma, "beta": 1.0} for sigma in SIGMAS),
    lambda rng: {name: _drawn(rng)[name] for name in ("sigma", "beta")},
    published=tuple({"largest lambda": digits} for digits in (1.5, 0.75, 0.5, 1 / 3)),
    literal=_threshold_literal,
    correction="The value for all sigma is 1/(4 beta); 1/beta fails once sigma exceeds 4/3. It would be right for the cost "
    "(beta/2)|x - y|^2 and the price (lambda/2)|.|^2.",
    figure=_plot_threshold,
)


def corner(sigma: float, beta: float, lam: float) -> float:
    """The proximal value at a = b = 1: its inner maximum over the slope by hand, over s = beta - p by SciPy."""

    def payoff(s: float) -> float:
        price = 4 * lam * sigma**2 * (s - beta / sigma) ** 2
        return (beta - s) * sigma**2 - beta**2 / s + 2 * beta - 4 * lam * beta**2 / (1 + 4 * lam * s) - price

    def slope(s: float) -> float:
        bent = (4 * lam * beta / (1 + 4 * lam * s)) ** 2
        return (beta / s) ** 2 + bent - sigma**2 - 8 * lam * sigma**2 * (s - beta / sigma)

    return payoff(root_scalar(slope, bracket=(1e-6 * beta, 4 * beta), xtol=1e-15).root)


def _proximal(sigma: float, beta: float, lam: float) -> dict[str, Any]:
    rest, aside = beta * (sigma - 1) ** 2, corner(sigma, beta, lam)
    return {"least value": min(rest, aside), "value at (1, 1)": aside, "equilibrium": aside >= rest}


@jax.jit
def _over_the_box(game: gd.AbstractGame, discriminator: tuple[Array, Array]) -> Array:
    # The sign of a changes nothing, and at a = 0 the best curvature may be that of the cost, which is no discriminator.
    a, b = jnp.meshgrid(jnp.linspace(0.05, 1.0, 21), jnp.linspace(-1.0, 1.0, 41), indexing="ij")
    return jax.vmap(jax.vmap(lambda *generator: game.losses(gd.Players(generator, discriminator))[0]))(a, b)


def _proximal_computed(sigma: float, beta: float, lam: float) -> dict[str, Any]:
    x = stackelberg(sigma, beta)
    values = _over_the_box(gd.Proximal(transport(sigma, beta), lam, gd.sobolev), x.discriminator)
    least, rest = float(jnp.min(values)), float(value(transport(sigma, beta), x))
    return {"least value": least, "value at (1, 1)": values[-1, -1], "equilibrium": least >= rest - 1e-12}


FO05 = Claim(
    "FO05",
    FARNIA_OZDAGLAR,
    "Over the whole box no generator has a smaller proximal value, as long as lambda is below the threshold",
    r"\min_{|a|, |b| \le 1} V_\lambda(G, D^*) = \min\{\beta(\sigma-1)^2,\ V_\lambda((1,1), D^*)\}",
    _proximal,
    _proximal_computed,
    tuple({"sigma": 2.0, "beta": 1.0, "lam": lam} for lam in (0.1, 0.25, 0.45, 0.55, 1.0)),
    lambda rng: {"sigma": float(rng.uniform(1.3, 3)), "beta": 1.0, "lam": float(rng.uniform(0.1, 1.0))},
    published=tuple({"least value": digits} for digits in (1.0, 1.0, 1.0, 0.9696516052, 0.6973558929)),
)


def _at_printed(sigma: float, beta: float) -> dict[str, Any]:
    aside = corner(sigma, beta, 1 / beta)
    return {"V at lambda = 1/beta": aside, "equilibrium": False}


def _at_printed_computed(sigma: float, beta: float) -> dict[str, Any]:
    found = _proximal_computed(sigma, beta, 1 / beta)
    return {"V at lambda = 1/beta": found["value at (1, 1)"], "equilibrium": found["equilibrium"]}


FO06 = Claim(
    "FO06",
    FARNIA_OZDAGLAR,
    "At lambda = 1/beta the generator gains by leaving: the value printed is not one of a proximal equilibrium",
    r"V_{1/\beta}((1, 1), D^*) < \beta(\sigma-1)^2",
    _at_printed,
    _at_printed_computed,
    ({"sigma": 2.0, "beta": 1.0},),
    lambda rng: {"sigma": float(rng.uniform(1.6, 3)), "beta": float(rng.uniform(0.5, 2.0))},
    published=({"V at lambda = 1/beta": 0.697355892931},),
    literal=lambda sigma, beta: {"equilibrium": True},
    correction="A 1/beta-proximal equilibrium exists only for sigma at most 4/3; a 1/(4 beta)-proximal one for all (FO04).",
)

CLAIMS = [FO01, FO02, FO03, FO04, FO05, FO06]
