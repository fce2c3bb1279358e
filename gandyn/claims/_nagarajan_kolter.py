"""The claims of Nagarajan and Kolter (2017): the stability theorem, its assumptions, and all their claims in order.

Jacobians are in the source's order, discriminator first; states are ours, generator first.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import gandyn as gd

from ._block_lemmas import LEMMAS, G, discriminator_first
from ._claim import NAGARAJAN_KOLTER, Claim
from ._uniform_games import PORTRAITS, draw_interval, moment, over, quadratic_roots


@eqx.filter_jit
def _derivatives(objective: gd.AbstractObjective, t: Array) -> tuple[Array, Array, Array]:
    f = objective.real
    return f(t), jax.grad(f)(t), jax.grad(jax.grad(f))(t)


def _predict_functions(objective: str, t: float) -> dict[str, Any]:
    sigmoid = 1 / (1 + np.exp(-t))
    minimax = {"f": np.log(sigmoid), "f'": 1 - sigmoid, "f''": -sigmoid * (1 - sigmoid), "V*": -2 * np.log(2)}
    return minimax if objective == "minimax" else {"f": t, "f'": 1.0, "f''": 0.0, "V*": 0.0}


def _compute_functions(objective: str, t: float) -> dict[str, Any]:
    payoff = getattr(gd.objectives, objective)
    value = gd.games.uniform(payoff).value(gd.Players(jnp.asarray(1.0), jnp.asarray(0.0)))
    return {**dict(zip(("f", "f'", "f''"), _derivatives(payoff, jnp.asarray(t)), strict=True)), "V*": value}


NK01 = Claim(
    key="NK01",
    source=NAGARAJAN_KOLTER,
    title="The GAN takes f to be log-sigmoid, the WGAN the identity; both are concave, and V = 2 f(0) at equilibrium",
    formula=r"f(t) = -\log(1 + e^{-t}):\ f(0) = -\log 2,\ f'(0) = \tfrac12,\ f''(0) = -\tfrac14;\quad "
    r"f(t) = t:\ 0, 1, 0;\quad V^* = 2f(0)",
    predict=_predict_functions,
    compute=_compute_functions,
    settings=({"objective": "minimax", "t": 0.0}, {"objective": "wasserstein", "t": 0.0}),
    draw=lambda rng: {"objective": "minimax", "t": float(rng.normal())},
    published=(
        {"f": -0.69314718056, "f'": 0.5, "f''": -0.25, "V*": -1.38629436112},
        {"f": 0.0, "f'": 1.0, "f''": 0.0},
    ),
)


@eqx.filter_jit
def _curvatures(game: gd.GAN, x: gd.Players) -> tuple[Array, Array]:
    hessian = jax.hessian(game.value)(x)
    return hessian.generator.generator, hessian.discriminator.discriminator


def _predict_concavity(a: float, w: float, mean: float, variance: float) -> dict[str, Any]:
    # The trapezium rule converges faster than any power here; it is no rule that the game uses.
    z = mean + np.sqrt(variance) * np.linspace(-12, 12, 2001)
    weights = np.exp(-((z - mean) ** 2) / (2 * variance))
    weights /= weights.sum()
    real, fake = (-weights * z**2 / (2 + 2 * np.cosh(output)) for output in (w * z, w * a * z))
    return {"d2V/da2": w**2 * fake.sum(), "d2V/dw2": (real + a**2 * fake).sum(), "concave in both": True}


def _compute_concavity(a: float, w: float, mean: float, variance: float) -> dict[str, Any]:
    game = gd.games.linear_scale(mean=mean, variance=variance, order=40)
    of_a, of_w = _curvatures(game, gd.Players(jnp.asarray(a), jnp.asarray(w)))
    return {"d2V/da2": of_a, "d2V/dw2": of_w, "concave in both": bool(of_a <= 0 and of_w <= 0)}


NK02 = Claim(
    key="NK02",
    source=NAGARAJAN_KOLTER,
    title="With linear discriminator and generator the objective is concave for both players",
    formula=r"D(x) = wx,\ G(z) = az:\quad \partial_a^2 V = w^2\,\mathbb E\,z^2 f''(-waz) \le 0,\quad "
    r"\partial_w^2 V = \mathbb E\,x^2 f''(wx) + a^2\,\mathbb E\,z^2 f''(-waz) \le 0",
    predict=_predict_concavity,
    compute=_compute_concavity,
    settings=({"a": 1.3, "w": 0.7, "mean": 1.0, "variance": 0.25}, {"a": 1.3, "w": 0.0, "mean": 1.0, "variance": 0.25}),
    draw=lambda rng: dict(zip(("a", "w", "mean", "variance"), rng.uniform([-1, -1, -1, 0.1], [1, 1, 1, 0.5]), strict=True)),
    published=({"d2V/da2": -0.104292553316},),
)


def _predict_linear(mean: float, variance: float) -> dict[str, Any]:
    return {"eigenvalues": quadratic_roots(-(mean**2 + variance) / 2, mean**2 / 4), "verdict": "stable"}


def _compute_linear(mean: float, variance: float) -> dict[str, Any]:
    found = gd.stability(gd.games.linear_scale(mean=mean, variance=variance), gd.Players(1.0, 0.0))
    return {"eigenvalues": found.eigenvalues, "verdict": found.verdict}


NK03 = Claim(
    key="NK03",
    source=NAGARAJAN_KOLTER,
    title="The linear GAN is locally exponentially stable although its objective is concave for both players",
    formula=r"J = \begin{pmatrix} 2f''(0)\,\mathbb E\,x^2 & -f'(0)\,\mathbb E\,z \\ f'(0)\,\mathbb E\,z & 0 \end{pmatrix},"
    r"\quad \lambda^2 + \tfrac12\,\mathbb E\,x^2\,\lambda + \tfrac14(\mathbb E\,z)^2 = 0",
    predict=_predict_linear,
    compute=_compute_linear,
    settings=({"mean": 1.0, "variance": 0.25},),
    # Within the disc (m - 1)^2 + s^2 < 1 the eigenvalues are complex, away from the double one on its edge.
    draw=lambda rng: {"mean": float(rng.uniform(0.7, 1.4)), "variance": float(rng.uniform(0.1, 0.5))},
    published=({"eigenvalues": np.array([-0.3125 - 0.3903123749j, -0.3125 + 0.3903123749j])},),
)


def _predict_zero_mean(a: float, variance: float) -> dict[str, Any]:
    return {
        "eigenvalues": np.array([-(1 + a**2) * variance / 4, 0.0], complex),
        "verdict": "marginal",
        "dimension of the equilibria": 1,
        "verdict across them": "stable",
    }


def _compute_zero_mean(a: float, variance: float) -> dict[str, Any]:
    return _modulo(gd.games.linear_scale(mean=0.0, variance=variance), gd.Players(a, 0.0))


def _modulo(game: gd.GAN, x: gd.Players) -> dict[str, Any]:
    """The spectrum at an equilibrium, the dimension of the set of equilibria it lies on, the verdict across that set."""
    equilibria, found = gd.manifold(game, x), gd.stability(game, x)
    return {
        "eigenvalues": found.eigenvalues,
        "verdict": found.verdict,
        "dimension of the equilibria": equilibria.dimension,
        "verdict across them": gd.stability(game, x, modulo=equilibria).verdict,
    }


NK04 = Claim(
    key="NK04",
    source=NAGARAJAN_KOLTER,
    title="On data of zero mean a linear discriminator leaves a line of equilibria: there is no exponential stability",
    formula=r"\mathbb E\,x = \mathbb E\,z = 0:\quad K_{DG} = 0,\quad "
    r"\lambda = \bigl\{f''(0)(1 + a^2)\,\mathbb E\,x^2,\ 0\bigr\} \text{ at } w = 0 \text{ and any } a",
    predict=_predict_zero_mean,
    compute=_compute_zero_mean,
    settings=({"a": 1.0, "variance": 1.0},),
    draw=lambda rng: {"a": float(rng.uniform(0.5, 1.5)), "variance": float(rng.uniform(0.5, 1.5))},
    published=({"eigenvalues": np.array([-0.5, 0], complex)},),
    literal=lambda a, variance: {"verdict": "stable", "dimension of the equilibria": 0},
    correction="The stability theorem assumes that the squared gradient of the discriminator is strongly convex at the "
    "generator's equilibrium, which reads as a mild condition. It fails for so simple a game as this one, whose "
    "discriminator sees only the mean: the theorem's conclusion then fails too, and only the transverse mode is stable.",
)


def couplings(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """K_DD and K_DG of the GAN with D(x) = w_1 x + w_2 x^2 and G(z) = a z + b at a = 1, b = 0."""
    first, second, third, fourth = (moment(k, low, high) for k in (1, 2, 3, 4))
    k_dd = 2 * -0.25 * np.array([[second, third], [third, fourth]])
    return k_dd, -0.5 * np.array([[first, 1.0], [2 * second, 2 * first]])


def affine(low: float, high: float) -> tuple[gd.GAN, gd.Players]:
    """The game of these couplings, and its equilibrium."""
    return over(gd.games.uniform_affine(), low, high), gd.Players((1.0, 0.0), (0.0, 0.0))


def _predict_blocks(low: float, high: float) -> dict[str, Any]:
    k_dd, k_dg = couplings(low, high)
    # The characteristic polynomial by the determinant at five points; the eigenvalues are not asked of an eigensolver.
    matrix, nodes = np.block([[k_dd, k_dg], [-k_dg.T, np.zeros((2, 2))]]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    polynomial = np.polynomial.Polynomial.fit(nodes, [np.linalg.det(t * np.eye(4) - matrix) for t in nodes], 4, [-1, 1])
    return {"J": matrix, "eigenvalues": polynomial.roots().astype(complex), "verdict": "stable"}


def _compute_blocks(low: float, high: float) -> dict[str, Any]:
    game, x = affine(low, high)
    found = gd.stability(game, x)
    return {"J": discriminator_first(game, x), "eigenvalues": found.eigenvalues, "verdict": found.verdict}


NK10 = Claim(
    key="NK10",
    source=NAGARAJAN_KOLTER,
    title="At equilibrium the Jacobian has a negative definite block, opposite coupling blocks, and a zero block",
    formula=r"""J = \begin{pmatrix} K_{DD} & K_{DG} \\ -K_{DG}^\top & 0 \end{pmatrix},\quad
        K_{DD} = 2f''(0)\,\mathbb E\,\nabla D\,\nabla D^\top,\quad
        K_{DG} = -f'(0)\,\partial_{\theta_G}\mathbb E_{p_G}\nabla D;\quad
        U[-1,1]:\ (\lambda^2 + \tfrac16\lambda + \tfrac14)(\lambda^2 + \tfrac1{10}\lambda + \tfrac19) = 0""",
    predict=_predict_blocks,
    compute=_compute_blocks,
    settings=({"low": -1.0, "high": 1.0},),
    draw=draw_interval,
    published=(
        {
            "J": np.array(
                [
                    [-0.166666666667, 0, 0, -0.5],
                    [0, -0.1, -0.333333333333, 0],
                    [0, 0.333333333333, 0, 0],
                    [0.5, 0, 0, 0],
                ]
            ),
            "eigenvalues": np.array(
                [
                    -0.0833333333333 - 0.493006648592j,
                    -0.0833333333333 + 0.493006648592j,
                    -0.05 - 0.329561998888j,
                    -0.05 + 0.329561998888j,
                ]
            ),
        },
    ),
)


def _predict_hessian(low: float, high: float) -> dict[str, Any]:
    k_dg = couplings(low, high)[1]
    return {"Hessian": 2 * k_dg.T @ k_dg}


def _compute_hessian(low: float, high: float) -> dict[str, Any]:
    game, x = affine(low, high)
    # With strength one the regulariser subtracts the Hessian from the generator's own block.
    return {"Hessian": gd.blocks(game, x)[G, G] - gd.blocks(gd.nagarajan_kolter(game, 1.0), x)[G, G]}


def _literal_hessian(low: float, high: float) -> dict[str, Any]:
    return {"Hessian": _predict_hessian(low, high)["Hessian"] / 2}


NK11 = Claim(
    key="NK11",
    source=NAGARAJAN_KOLTER,
    title="The curvature that the third assumption asks for is that of the coupling block",
    formula=r"\nabla^2_{\theta_G}\lVert\nabla_{\theta_D}V\rVert^2 = 2\,K_{DG}^\top K_{DG} \text{ at equilibrium}",
    predict=_predict_hessian,
    compute=_compute_hessian,
    settings=({"low": -1.0, "high": 1.0},),
    draw=draw_interval,
    published=({"Hessian": np.array([[0.222222222222, 0], [0, 0.5]])},),
    literal=_literal_hessian,
    correction="The talk equates the Hessian with the product itself: a factor two is missing. It changes no sign, so the "
    "theorem stands, but the block that the regulariser adds is -2 eta times the product.",
)


def _scale(a: Array, z: Array) -> Array:
    return a * z


def _twice(w: tuple[Array, Array], x: Array) -> Array:
    return (w[0] + w[1]) * x**2


def _predict_subspace(low: float, high: float, w: float) -> dict[str, Any]:
    transverse = quadratic_roots(-moment(4, low, high), 2 * moment(2, low, high) ** 2)
    return {
        "eigenvalues": np.append(transverse, 0.0),
        "verdict": "marginal",
        "dimension of the equilibria": 1,
        "verdict across them": "stable",
    }


def redundant(low: float, high: float, w: float) -> tuple[gd.GAN, gd.Players]:
    """The game whose discriminator has a redundant parameter, and one of its equilibria."""
    law = gd.Uniform(low, high)
    return gd.GAN(_scale, _twice, law, law, gd.objectives.minimax), gd.Players(1.0, (w, -w))


def _compute_subspace(low: float, high: float, w: float) -> dict[str, Any]:
    return _modulo(*redundant(low, high, w))


NK14 = Claim(
    key="NK14",
    source=NAGARAJAN_KOLTER,
    title="A discriminator with a redundant parameter has a line of equilibria, stable across it",
    formula=r"D(x) = (w_1 + w_2)x^2,\ G(z) = az:\quad \lambda = 0 \text{ along } w_1 + w_2 = 0,\ a = 1, \text{ and } "
    r"\lambda^2 + \mathbb E\,x^4\,\lambda + 2(\mathbb E\,x^2)^2 = 0 \text{ across}",
    predict=_predict_subspace,
    compute=_compute_subspace,
    settings=({"low": -1.0, "high": 1.0, "w": 0.0},),
    draw=lambda rng: {**draw_interval(rng), "w": float(rng.uniform(-1, 1))},
    published=({"eigenvalues": np.array([-0.1 - 0.460675832036j, -0.1 + 0.460675832036j, 0])},),
)

_NK12, _NK13, _NK15, _NK16 = LEMMAS
_NK05, _NK06, _NK08, _NK09 = PORTRAITS

CLAIMS: tuple[Claim, ...] = (
    *(NK01, NK02, NK03, NK04),
    *(_NK05, _NK06, _NK08, _NK09),
    *(NK10, NK11, _NK12, _NK13, NK14, _NK15, _NK16),
)
