"""Nie and Patel (2019) beyond the equilibrium of the linear GAN: other points, general games, the Wasserstein game."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from jaxtyping import Array, Float

import gandyn as gd

from ._claim import NIE_PATEL, Claim, match
from ._linear_gan import PUBLIC_CODE, eigenvalues, extrapolate, jacobian, linear_gan, moments, simgd, spectrum

_SHAPES = ((3, 3), (4, 2), (2, 4))


@eqx.filter_jit
def _jacobians(p: Any, q: Any) -> Float[Array, "k d d"]:
    """The Jacobians of many games with the blocks P and Q, stacked: V = x' P y + y' Q y / 2."""

    def one(p: Array, q: Array) -> Array:
        return jacobian(gd.games.quadratic(0.0, p, -q), gd.Players(jnp.zeros(p.shape[0]), jnp.zeros(p.shape[1])))

    return jax.vmap(one)(p, q)


def _count(p: np.ndarray, q: np.ndarray) -> tuple[int, int, int]:
    """Eigenvalues that break the theorem, zero eigenvalues, and those among them without a part in theta."""
    matrices = np.asarray(_jacobians(p, q))
    values, vectors = np.linalg.eig(matrices)
    norm = np.linalg.norm(matrices, axis=(1, 2))[:, None]
    y = vectors[:, p.shape[1] :]
    size = np.linalg.norm(y, axis=1)
    moving = size > 1e-8
    size = np.where(moving, size, 1.0)
    y = y / size[:, None]
    a1 = np.einsum("cik,cij,cjk->ck", y.conj(), q, y).real
    a2 = np.linalg.norm(p @ y, axis=1) ** 2
    # An eigenvector solves its equations to rounding of the norm, and dividing by the size of y magnifies that.
    wrong = moving & (np.abs(values**2 - a1 * values + a2) > 1e-13 * norm**2 / size)
    zero = np.abs(values) < 1e-12 * norm
    return int(wrong.sum()), int(zero.sum()), int((zero & ~moving).sum())


def _predict_form(cases: int, seed: int) -> dict[str, Any]:
    zeros = cases * sum(max(m - n, 0) for m, n in _SHAPES)
    return {
        "violations where theta moves": 0,
        "zero eigenvalues": zeros,
        "of which theta stands still": zeros,
        "spectrum for P = (1, 2)', Q = -1": np.array([0, (-1 + 1j * np.sqrt(19)) / 2, (-1 - 1j * np.sqrt(19)) / 2]),
    }


def _literal_form(cases: int, seed: int) -> dict[str, Any]:
    return {"zero eigenvalues": 0, "spectrum for P = (1, 2)', Q = -1": (-1 + np.array([1j, -1j]) * np.sqrt(19)) / 2}


def _compute_form(cases: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    counts = np.zeros(3, int)
    for m, n in _SHAPES:
        root = rng.normal(size=(cases, n, n))
        counts += _count(rng.normal(size=(cases, m, n)), -root @ root.swapaxes(1, 2))
    example = _jacobians(np.array([[[1.0], [2.0]]]), np.array([[[-1.0]]]))
    return {
        "violations where theta moves": int(counts[0]),
        "zero eigenvalues": int(counts[1]),
        "of which theta stands still": int(counts[2]),
        "spectrum for P = (1, 2)', Q = -1": np.linalg.eigvals(np.asarray(example[0])),
    }


def _draw_seed(rng: np.random.Generator) -> dict[str, Any]:
    return {"cases": 2000, "seed": int(rng.integers(1, 1000))}


NP08 = Claim(
    key="NP08",
    source=NIE_PATEL,
    title="Eigenvalues are roots of a quadratic in convex combinations of the eigenvalues of Q and of P^T P",
    formula=r"\lambda = \tfrac12\left(a_1 \pm \sqrt{a_1^2-4a_2}\right),\quad a_1 = y^*Qy,\ a_2 = y^*P^\top Py,\ y^*y = 1",
    predict=_predict_form,
    compute=_compute_form,
    settings=({"cases": 2000, "seed": 0},),
    draw=_draw_seed,
    published=({"spectrum for P = (1, 2)', Q = -1": [-0.5 - 2.17944947177j, -0.5 + 2.17944947177j, 0]},),
    literal=_literal_form,
    correction="Lemma 3 gives P as m x n and Q as m x m, which fits A only for m = n: P is dim phi x dim theta and Q is "
    "dim theta x dim theta. Theorem 4 misses the zero eigenvalues of ker P^T, at least dim phi - dim theta of them, whose "
    "eigenvectors have no part y in theta.",
)


def _fake_moments(theta: np.ndarray, centre: np.ndarray, sigma: float) -> tuple[float, float, np.ndarray, np.ndarray]:
    """E g', E g'', E g'' x and E g'' x x' for x ~ N(centre, sigma^2), g = log sigmoid(-theta.x), by adaptive quadrature."""
    length = np.linalg.norm(theta)
    u = theta / length

    def mean(order: int, power: int = 0) -> float:
        def integrand(r: float) -> float:
            up = 1 / (1 + np.exp(-(theta @ centre + length * sigma * r)))
            return (-up, -up * (1 - up))[order - 1] * r**power * np.exp(-(r**2) / 2) / np.sqrt(2 * np.pi)

        return scipy.integrate.quad(integrand, -12, 12, epsabs=1e-14, epsrel=1e-13, limit=200)[0]

    m0, m1, m2 = (mean(2, power) for power in range(3))
    mixed = sigma * m1 * (np.outer(centre, u) + np.outer(u, centre))
    square = m0 * np.outer(centre, centre) + mixed + sigma**2 * (m0 * np.eye(u.size) + (m2 - m0) * np.outer(u, u))
    return mean(1), m0, m0 * centre + sigma * m1 * u, square


def _predict_away(mean: Any, sigma: float, phi: Any, theta: Any) -> dict[str, Any]:
    v, phi, theta = np.array(mean), np.array(phi), np.array(theta)
    slope, curvature, first, fake = _fake_moments(theta, phi, sigma)
    # The second derivative of log sigmoid is even, so real data see the same law.
    real = _fake_moments(theta, v, sigma)[-1]
    cross = slope * np.eye(v.size) + np.outer(theta, first)
    matrix = np.block([[-curvature * np.outer(theta, theta), -cross], [cross.T, real + fake]])
    return {"Jacobian": matrix, "eigenvalues": np.linalg.eigvals(matrix).astype(complex), "order of the error": 1.0}


def _literal_away(mean: Any, sigma: float, phi: Any, theta: Any) -> dict[str, Any]:
    return {"eigenvalues": spectrum(mean, *map(simgd, moments(mean, sigma)))}


def _compute_away(mean: Any, sigma: float, phi: Any, theta: Any) -> dict[str, Any]:
    game, x = linear_gan(mean, sigma)
    away = gd.Players(np.array(phi), np.array(theta))
    matrix = np.asarray(jacobian(game, away))
    at_equilibrium = eigenvalues(game, x)

    def error(t: float) -> float:
        near = gd.Players(*(a + t * (b - a) for a, b in zip(x, away, strict=True)))
        return float(np.max(np.abs(np.subtract(*match(at_equilibrium, eigenvalues(game, near))))))

    errors = np.log10([error(t) for t in (1e-2, 1e-3, 1e-4)])
    return {
        "Jacobian": matrix,
        "eigenvalues": np.linalg.eigvals(matrix).astype(complex),
        "order of the error": extrapolate(*-np.diff(errors), factor=10),
    }


def _draw_away(rng: np.random.Generator) -> dict[str, Any]:
    offsets = rng.normal(size=(3, 2)) * [[1.0], [0.2], [0.2]]
    mean, phi, theta = np.round([offsets[0], offsets[0] + offsets[1], offsets[2]], 3).tolist()
    return {"mean": tuple(mean), "sigma": round(rng.uniform(0.4, 1.2), 3), "phi": tuple(phi), "theta": tuple(theta)}


_FAR_SPECTRUM = [-2.1434045579, -0.141456836918, -0.12203717811 - 0.512107423986j, -0.12203717811 + 0.512107423986j]

NP09 = Claim(
    key="NP09",
    source=NIE_PATEL,
    title="Away from the equilibrium the Jacobian of the linear GAN is another one",
    formula=r"A(w) = \begin{pmatrix} -f_{\phi\phi} & -f_{\phi\theta} \\ f_{\theta\phi} & f_{\theta\theta} \end{pmatrix},"
    r"\quad \lambda(A(w)) - \lambda(A(w^*)) = O(\lVert w - w^*\rVert)",
    predict=_predict_away,
    compute=_compute_away,
    settings=({**PUBLIC_CODE, "phi": (0.05, 2.05), "theta": (0.05, 0.05)},),
    draw=_draw_away,
    published=({"eigenvalues": _FAR_SPECTRUM},),
    literal=_literal_away,
    correction="Theorems 1 and 3 are stated for any point of a ball around the equilibrium. Their eigenvalues are exact at the "
    "equilibrium only; at a distance delta they are off by O(delta).",
)


def _pencil(p: np.ndarray, q: np.ndarray, gamma: float) -> np.ndarray:
    """Roots of det(l^2 + l (2 gamma K + R) + K + gamma^2 K^2) with K = P'P, R = -Q, and zeros for the rest of phi."""
    k, eye = p.T @ p, np.eye(p.shape[1])
    companion = np.block([[0 * eye, eye], [-(k + gamma**2 * k @ k), q - 2 * gamma * k]])
    return np.concatenate([np.linalg.eigvals(companion), np.zeros(p.shape[0] - p.shape[1], complex)])


def _under_jare(p: np.ndarray, q: np.ndarray, gamma: float) -> tuple[gd.AbstractFlow, gd.Players]:
    """The quadratic game with the blocks P and Q under JARE, and its equilibrium."""
    return gd.jare(gd.games.quadratic(0.0, p, -q), gamma), gd.Players(np.zeros(p.shape[0]), np.zeros(p.shape[1]))


def _distance(values: np.ndarray, p: np.ndarray, gamma: float) -> float:
    """How far eigenvalues, in units of -gamma, lie from those of P'P, relative to the largest."""
    limit = np.tile(np.linalg.eigvalsh(p.T @ p), 2)
    return float(np.max(np.abs(np.subtract(*match(limit, -values / gamma)))) / np.max(limit))


def _predict_general(p: Any, q: Any, gamma: float) -> dict[str, Any]:
    p, q = np.array(p), np.array(q)
    return {
        "eigenvalues": _pencil(p, q, gamma),
        "order of the relative error of -gamma k": -0.5,
        "tau as gamma grows": np.linalg.cond(p.T @ p),
        "eigenvalues with one column less": _pencil(p[:, :-1], q[:-1, :-1], gamma),
    }


def _compute_general(p: Any, q: Any, gamma: float) -> dict[str, Any]:
    p, q = np.array(p), np.array(q)
    gammas = (1e4, 1e6, 1e8)
    found = [gd.stability(*_under_jare(p, q, g)) for g in gammas]
    errors = [_distance(np.asarray(one.eigenvalues), p, g) for one, g in zip(found, gammas, strict=True)]
    return {
        "eigenvalues": gd.stability(*_under_jare(p, q, gamma)).eigenvalues,
        "order of the relative error of -gamma k": extrapolate(*np.diff(np.log10(errors)) / 2, factor=10),
        "tau as gamma grows": extrapolate(*(float(one.tau) for one in found[1:]), factor=10),
        "eigenvalues with one column less": eigenvalues(*_under_jare(p[:, :-1], q[:-1, :-1], gamma)),
    }


def _draw_blocks(rng: np.random.Generator) -> dict[str, Any]:
    root = rng.normal(size=(3, 3))
    blocks = {"p": np.eye(3) + 0.4 * rng.normal(size=(3, 3)), "q": -root @ root.T}
    rounded = {name: tuple(map(tuple, block.round(3).tolist())) for name, block in blocks.items()}
    return {**rounded, "gamma": round(rng.uniform(0.1, 20.0), 3)}


_BLOCKS = {
    "p": ((1.0, 0.3, -0.2), (0.1, 0.8, 0.4), (-0.3, 0.2, 0.6)),
    "q": ((-2.0, 0.5, 0.0), (0.5, -1.0, 0.3), (0.0, 0.3, -0.5)),
}


def _plot_limit(ax: Any) -> None:
    p, q = np.array(_BLOCKS["p"]), np.array(_BLOCKS["q"])
    gammas = np.geomspace(1.0, 1e6, 25)
    ax.loglog(gammas, [_distance(eigenvalues(*_under_jare(p, q, g)), p, g) for g in gammas], ".-", label="computed")
    ax.loglog(gammas, gammas**-0.5, ":", color="0.5", label=r"$\gamma^{-1/2}$")
    ax.set(xlabel=r"$\gamma$", ylabel=r"relative error of $-\gamma\,\lambda(P^\top P)$", title="The limit of JARE")
    ax.legend()


NP10 = Claim(
    key="NP10",
    source=NIE_PATEL,
    title="JARE makes a general game a damped second-order system, whose eigenvalues tend to those of -gamma P^T P",
    formula=r"\det\left(\lambda^2 + \lambda(2\gamma K + R) + K + \gamma^2K^2\right) = 0,\ K = P^\top P,\ R = -Q;\quad "
    r"\lambda = -\gamma k_i\left(1 + O(\gamma^{-1/2})\right)\text{ twice}",
    predict=_predict_general,
    compute=_compute_general,
    settings=({**_BLOCKS, "gamma": 7.0},),
    draw=_draw_blocks,
    correction="Theorem 5 needs dim phi = dim theta: a generator with more parameters keeps an eigenvalue zero for every gamma."
    " Its limit is one of leading order, with a relative error that falls like gamma^(-1/2) only, so that tau tends to "
    "cond(P^T P), not to one.",
    figure=_plot_limit,
)


def _predict_wasserstein(k: float, gamma: float) -> dict[str, Any]:
    return {
        "eigenvalues": np.array([-gamma * k + 1j * np.sqrt(k), -gamma * k - 1j * np.sqrt(k)]),
        "zeta": 1 / (gamma * np.sqrt(k)),
        "linear Wasserstein GAN": np.repeat([-gamma + 1j, -gamma - 1j], 2),
        "complex": True,
    }


def _literal_wasserstein(k: float, gamma: float) -> dict[str, Any]:
    return {"complex": False}


def _compute_wasserstein(k: float, gamma: float) -> dict[str, Any]:
    found = gd.stability(gd.jare(gd.games.bilinear(np.sqrt(k)), gamma), gd.Players(0.0, 0.0))
    game, x = linear_gan(**PUBLIC_CODE, objective=gd.objectives.wasserstein)
    linear = eigenvalues(gd.jare(game, gamma), x)
    return {
        "eigenvalues": found.eigenvalues,
        "zeta": found.zeta,
        "linear Wasserstein GAN": linear,
        "complex": bool(np.all(np.imag(found.eigenvalues) != 0) and np.all(np.imag(linear) != 0)),
    }


def _draw_wasserstein(rng: np.random.Generator) -> dict[str, Any]:
    return {"k": round(rng.uniform(0.1, 3.0), 3), "gamma": round(rng.uniform(0.1, 1000.0), 3)}


NP10B = Claim(
    key="NP10b",
    source=NIE_PATEL,
    title="Under JARE the eigenvalues of a Wasserstein game are complex for every gamma",
    formula=r"\lambda = -\gamma k \pm \mathrm i\sqrt k,\quad k \in \lambda(P^\top P),\ Q = 0;\quad \zeta = 1/(\gamma\sqrt k)",
    predict=_predict_wasserstein,
    compute=_compute_wasserstein,
    settings=({"k": 0.3, "gamma": 2.0}, {"k": 0.3, "gamma": 1e3}),
    draw=_draw_wasserstein,
    published=({"eigenvalues": [-0.6 - 0.547722557505j, -0.6 + 0.547722557505j]},),
    literal=_literal_wasserstein,
    correction="That no complex eigenvalues are left is a statement about the vanilla GAN (see NP04). With Q = 0 the imaginary "
    "parts stay at sqrt(k) for every gamma; it is their ratio to the real parts, zeta, that tends to zero.",
)
