"""Nagarajan and Kolter's lemmas on block matrices: linearised games whose Jacobian is [[-Q, P], [-P^T, 0]].

Each matrix is the Jacobian, by automatic differentiation, of a quadratic game in which the discriminator has curvature
-Q and P couples the players; rows and columns are in the source's order, discriminator first.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

import gandyn as gd

from ._claim import NAGARAJAN_KOLTER, Claim

G, D = gd.Players._fields


def discriminator_first(system: gd.AbstractSystem, x: gd.Players) -> Float[Array, "n n"]:
    """The Jacobian in the source's order, the discriminator's rows and columns first."""
    k = gd.blocks(system, x)
    return jnp.block([[k[D, D], k[D, G]], [k[G, D], k[G, G]]])


def _game(q: Any, p: Any) -> gd.games.Quadratic:
    """The game whose Jacobian is [[-Q, P], [-P^T, 0]]."""
    return gd.games.quadratic(0.0, jnp.asarray(p).T, jnp.asarray(q))


def _origin(p: Any) -> gd.Players:
    n_d, n_g = np.shape(p)[-2:]
    return gd.Players(jnp.zeros(n_g), jnp.zeros(n_d))


@eqx.filter_jit
def _jacobians(q: ArrayLike, p: ArrayLike) -> Array:
    """The Jacobians of many games of one size."""
    return jax.vmap(lambda q, p: discriminator_first(_game(q, p), _origin(p)))(q, p)


@eqx.filter_jit
def _regularised_jacobians(q: ArrayLike, p: ArrayLike, eta: ArrayLike) -> Array:
    """The same with the gradient-norm regulariser."""
    return jax.vmap(lambda q, p, s: discriminator_first(gd.nagarajan_kolter(_game(q, p), s), _origin(p)))(q, p, eta)


@eqx.filter_jit
def _growth_of_square(q: ArrayLike, p: ArrayLike, x: gd.Players) -> Array:
    """The time derivative of the squared distance to the equilibrium along the flow."""
    return jax.jvp(lambda y: sum(jnp.sum(part**2) for part in y), (x,), (_game(q, p)(x),))[1]


def _cubic(m: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The roots of det(l^2 + l M + P P^T)/l for M two by two and P a column."""
    adjugate = np.trace(m) * np.eye(2) - m
    p = p[:, 0]
    return np.roots([1.0, np.trace(m), np.linalg.det(m) + p @ p, p @ adjugate @ p]).astype(complex)


def _cases(rng: np.random.Generator, count: int, n_d: int, n_g: int) -> tuple[np.ndarray, np.ndarray]:
    """Random matrices: Q positive definite, P of full column rank (with probability one) where n_g <= n_d."""
    root = rng.normal(size=(count, n_d, n_d))
    return root @ root.transpose(0, 2, 1) / n_d + 0.01 * np.eye(n_d), rng.normal(size=(count, n_d, n_g))


def _draw(rng: np.random.Generator) -> dict[str, Any]:
    q, p = _cases(rng, 1, 2, 1)
    return {"q": q[0].tolist(), "p": p[0].tolist(), "seed": int(rng.integers(2**31))}


_SHAPES = ((1, 1), (2, 1), (2, 2), (3, 2), (4, 3))
_LEMMA_CASES = 20_000


def _rounding(matrices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The error of each eigenvalue: eps |J|^2 over its distance to the next one, at a double one sqrt(eps) |J|."""
    n, eps = values.shape[1], np.finfo(float).eps
    size = np.linalg.norm(matrices, axis=(1, 2))[:, None]
    gap = np.min(np.abs(values[:, :, None] - values[:, None, :]) + np.where(np.eye(n), np.inf, 0.0), axis=2)
    return 4 * n * eps * size**2 / np.maximum(gap, np.sqrt(eps) * size)


def _violations(seed: int, *bounds: Callable) -> list[int]:
    """How many random cases have an eigenvalue to the right of each bound for real ones, or of that for complex ones."""
    rng, counts = np.random.default_rng(seed), np.zeros(len(bounds), int)
    for n_d, n_g in _SHAPES:
        q, p = _cases(rng, _LEMMA_CASES // len(_SHAPES), n_d, n_g)
        matrices = np.asarray(_jacobians(q, p))
        values = np.linalg.eigvals(matrices)
        low, high = np.linalg.eigvalsh(q)[:, [0, -1]].T
        coupling = np.linalg.eigvalsh(p.transpose(0, 2, 1) @ p)[:, 0]
        slack = _rounding(matrices, values)
        for i, bound in enumerate(bounds):
            allowed = np.where(values.imag == 0, bound(low, high, coupling)[:, None], low[:, None] / 2)
            counts[i] += np.sum(np.any(-values.real < allowed - slack, axis=1))
    return counts.tolist()


def _published_bound(low: np.ndarray, high: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    return low * coupling / (high * low + coupling)


def _sharper_bound(low: np.ndarray, high: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    return np.minimum(low, (high - np.sqrt(np.maximum(0, high**2 - 4 * coupling))) / 2)


def _predict_lemma(q: Any, p: Any, seed: int) -> dict[str, Any]:
    return {
        "eigenvalues": _cubic(np.array(q), np.array(p)),
        "verdict": "stable",
        "violations of the bound": 0,
        "violations of a sharper bound": 0,
        "zero eigenvalues for n_D = 1, n_G = 3": 2,
    }


def _compute_lemma(q: Any, p: Any, seed: int) -> dict[str, Any]:
    published, sharper = _violations(seed, _published_bound, _sharper_bound)
    found = gd.stability(_game(q, p), _origin(p))
    wide = np.asarray(_jacobians(*_cases(np.random.default_rng(seed), 1, 1, 3)))[0]
    return {
        "eigenvalues": np.asarray(found.eigenvalues),
        "verdict": found.verdict,
        "violations of the bound": published,
        "violations of a sharper bound": sharper,
        "zero eigenvalues for n_D = 1, n_G = 3": wide.shape[0] - int(np.linalg.matrix_rank(wide)),
    }


NK12 = Claim(
    key="NK12",
    source=NAGARAJAN_KOLTER,
    title="The main lemma: with Q positive definite and P of full column rank, every eigenvalue of the block matrix has a "
    "negative real part, beyond an explicit bound (20000 random matrices of five sizes)",
    formula=r"""J = \begin{pmatrix} -Q & P \\ -P^\top & 0 \end{pmatrix}:\quad
        {\rm Re}\,\lambda \le -\tfrac12\lambda_{\min}(Q) \text{ if complex},\quad
        \lambda \le -\frac{\lambda_{\min}(Q)\,\lambda_{\min}(P^\top P)}
        {\lambda_{\max}(Q)\,\lambda_{\min}(Q) + \lambda_{\min}(P^\top P)} \text{ if real};\quad
        \text{sharper: } |\lambda| \ge \min\bigl\{\lambda_{\min}(Q),
        \tfrac12\bigl(\lambda_{\max}(Q) - \sqrt{\max(0, \lambda_{\max}(Q)^2 - 4\lambda_{\min}(P^\top P))}\bigr)\bigr\}""",
    predict=_predict_lemma,
    compute=_compute_lemma,
    settings=({"q": [[2.0, 0.5], [0.5, 1.0]], "p": [[1.0], [2.0]], "seed": 0},),
    draw=_draw,
    published=(
        {"eigenvalues": np.array([-1.55452841039, -0.722735794803 - 1.99515070069j, -0.722735794803 + 1.99515070069j])},
    ),
    literal=lambda q, p, seed: {"zero eigenvalues for n_D = 1, n_G = 3": 0},
    correction="The lemma holds, but full column rank silently demands that the generator has at most as many parameters as "
    "the discriminator: with n_G > n_D there are at least n_G - n_D zero eigenvalues, and no exponential stability.",
)


def _predict_no_bound(q: Any, p: Any, eta: float, seed: int) -> dict[str, Any]:
    q, p = np.array(q), np.array(p)
    adjugate = np.trace(q) * np.eye(2) - q
    return {
        "J": np.block([[-q, p], [-p.T @ (np.eye(2) - 2 * eta * q), -2 * eta * p.T @ p]]),
        "eigenvalues": _cubic(q + 2 * eta * p @ p.T, p),
        "det J": -(p.T @ adjugate @ p)[0, 0],
        "unstable cases above the bound": 0,
        "stable for eta": "up to 10000, where the search ends",
    }


_ETAS = np.geomspace(1e-3, 1e4, 141)


def _compute_no_bound(q: Any, p: Any, eta: float, seed: int) -> dict[str, Any]:
    flow, rng = gd.nagarajan_kolter(_game(q, p), eta), np.random.default_rng(seed)
    matrix = np.asarray(discriminator_first(flow, _origin(p)))
    many_q, many_p = _cases(rng, 5000, 3, 2)
    strengths = 10 ** rng.uniform(0, 3, 5000) / (2 * np.linalg.eigvalsh(many_q)[:, -1])
    growths = np.linalg.eigvals(np.asarray(_regularised_jacobians(many_q, many_p, strengths))).real.max(axis=1)
    one_q, one_p = (np.broadcast_to(np.asarray(m), (_ETAS.size, *np.shape(m))) for m in (q, p))
    along = np.linalg.eigvals(np.asarray(_regularised_jacobians(one_q, one_p, _ETAS))).real.max(axis=1)
    lost = _ETAS[along >= 0]
    return {
        "J": matrix,
        "eigenvalues": np.linalg.eigvals(matrix).astype(complex),
        "det J": np.linalg.det(matrix),
        "unstable cases above the bound": int(np.sum(growths >= 0)),
        "stable for eta": f"below {lost[0]:.6g}" if lost.size else "up to 10000, where the search ends",
    }


def _literal_bound(q: Any, p: Any, eta: float, seed: int) -> dict[str, Any]:
    return {"stable for eta": f"below {1 / (2 * np.linalg.eigvalsh(q)[-1]):.6g}"}


def _draw_strength(rng: np.random.Generator) -> dict[str, Any]:
    return {**_draw(rng), "eta": float(rng.uniform(0, 10))}


def _at_origin(flow: gd.FieldNorm) -> gd.Stability:
    return gd.stability(flow, gd.Players(jnp.zeros(1), jnp.zeros(2)), throw=False)


def _figure_strength(ax: Any) -> None:
    flow = gd.nagarajan_kolter(_game(NK13.settings[0]["q"], NK13.settings[0]["p"]), 0.0)
    weights = np.linspace(0, 3, 301)
    gd.plot.paths(gd.sweep(_at_origin, flow, {r"$2\eta$": (lambda s: s.weight, weights)}, progress=False), ax=ax)


NK13 = Claim(
    key="NK13",
    source=NAGARAJAN_KOLTER,
    title="The gradient-norm regulariser keeps the equilibrium stable: for every strength, not only for small ones (5000 "
    "random matrices, all above the bound)",
    formula=r"""J(\eta) = \begin{pmatrix} -Q & P \\ -P^\top(I - 2\eta Q) & -2\eta P^\top P \end{pmatrix},\quad
        \det\bigl(\lambda^2 I + \lambda(Q + 2\eta PP^\top) + PP^\top\bigr) = 0,\quad \det J(\eta) = \det J(0)""",
    predict=_predict_no_bound,
    compute=_compute_no_bound,
    settings=({"q": [[3.0, 0.0], [0.0, 1.0]], "p": [[1.0], [1.0]], "eta": 5.0, "seed": 0},),
    draw=_draw_strength,
    published=({"eigenvalues": np.array([-21.959023921, -1.94743915997, -0.0935369190287])},),
    literal=_literal_bound,
    correction="The condition that eta be small, eta < 1/(2 max eigenvalue of Q), is sufficient and not needed: in continuous "
    "time the matrix is Hurwitz for every eta >= 0 where Q > 0 and P has full column rank. A large eta only forces smaller "
    "steps.",
    figure=_figure_strength,
)


def _predict_skew(k: Any) -> dict[str, Any]:
    n_d, n_g = np.shape(k)
    sigma = np.linalg.svd(np.array(k), compute_uv=False)
    return {
        "eigenvalues": np.concatenate([1j * sigma, -1j * sigma, np.zeros(abs(n_d - n_g))]),
        "symmetric part at the WGAN equilibrium": np.zeros((4, 4)),
    }


def _compute_skew(k: Any) -> dict[str, Any]:
    game = gd.games.uniform_affine(gd.objectives.wasserstein)
    matrix = discriminator_first(game, gd.Players((1.0, 0.0), (0.0, 0.0)))
    return {
        "eigenvalues": np.linalg.eigvals(np.asarray(_jacobians(np.zeros((1, 3, 3)), np.array([k]))[0])),
        "symmetric part at the WGAN equilibrium": np.asarray(matrix + matrix.T),
    }


NK15 = Claim(
    key="NK15",
    source=NAGARAJAN_KOLTER,
    title="At a WGAN equilibrium the Jacobian is skew-symmetric: nothing converges",
    formula=r"f'' = 0:\quad J = \begin{pmatrix} 0 & K \\ -K^\top & 0 \end{pmatrix},\quad "
    r"\lambda = \pm i\,\sigma_j(K) \text{ and } |n_D - n_G| \text{ zeros}",
    predict=_predict_skew,
    compute=_compute_skew,
    settings=({"k": [[0.3, -1.0], [0.5, 0.2], [1.1, 0.7]]},),
    draw=lambda rng: {"k": rng.normal(size=(3, 2)).tolist()},
    published=({"eigenvalues": np.array([-1.45261409622j, -0.984841249873j, 0, 0.984841249873j, 1.45261409622j])},),
)


def _predict_lyapunov(q: Any, p: Any, x_d: Any, x_g: Any, seed: int) -> dict[str, Any]:
    x_d = np.array(x_d)
    return {"d|x|^2/dt": -2 * x_d @ np.array(q) @ x_d, "d|x|^2/dt for Q = 0": 0.0, "cases that grow": 0, "verdict": "stable"}


def _compute_lyapunov(q: Any, p: Any, x_d: Any, x_g: Any, seed: int) -> dict[str, Any]:
    q, p, x = np.array(q), np.array(p), gd.Players(np.array(x_g), np.array(x_d))
    rng = np.random.default_rng(seed)
    many = gd.Players(rng.normal(size=(5000, 1)), rng.normal(size=(5000, 2)))
    return {
        "d|x|^2/dt": float(_growth_of_square(q, p, x)),
        "d|x|^2/dt for Q = 0": float(_growth_of_square(np.zeros_like(q), p, x)),
        "cases that grow": int(np.sum(np.asarray(_growths_of_squares(*_cases(rng, 5000, 2, 1), many)) > 0)),
        "verdict": gd.stability(_game(q, p), _origin(p)).verdict,
    }


@eqx.filter_jit
def _growths_of_squares(q: ArrayLike, p: ArrayLike, x: gd.Players) -> Array:
    return jax.vmap(_growth_of_square)(q, p, x)


def _draw_state(rng: np.random.Generator) -> dict[str, Any]:
    return {**_draw(rng), "x_d": rng.normal(size=2).tolist(), "x_g": rng.normal(size=1).tolist()}


NK16 = Claim(
    key="NK16",
    source=NAGARAJAN_KOLTER,
    title="The squared distance to the equilibrium is a weak Lyapunov function of the linearised GAN, and conserved by the "
    "WGAN (beyond the paper; 5000 random states and matrices)",
    formula=r"\frac{d}{dt}\lVert x\rVert^2 = -2\,x_D^\top Q\,x_D \le 0",
    predict=_predict_lyapunov,
    compute=_compute_lyapunov,
    settings=({"q": [[2.0, 0.5], [0.5, 1.0]], "p": [[1.0], [2.0]], "x_d": [1.0, -0.7], "x_g": [0.4], "seed": 0},),
    draw=_draw_state,
)

LEMMAS: tuple[Claim, ...] = (NK12, NK13, NK15, NK16)
