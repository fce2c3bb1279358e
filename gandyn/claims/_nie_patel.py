"""Nie and Patel (2019): the spectrum of the linear GAN, its phase and conditioning factors, JARE against consensus."""

from typing import Any

import numpy as np

import gandyn as gd

from ._claim import NIE_PATEL, Claim, Measured
from ._linear_gan import PUBLIC_CODE, eigenvalues, extrapolate, linear_gan, moments, roots, simgd, spectrum
from ._nie_patel_general import NP08, NP09, NP10, NP10B

_SETTINGS = (PUBLIC_CODE, {"mean": (0.3, -0.4), "sigma": 1.0}, {"mean": (3.0, 1.0), "sigma": 1.6})
_REGULARISED = tuple({**setting, "gamma": gamma} for setting in _SETTINGS for gamma in (1.0, 10.0))


def _draw(rng: np.random.Generator) -> dict[str, Any]:
    """Five dimensions, where the expectations are a cubature and the multiplicities show."""
    return {"mean": tuple(rng.normal(size=5).round(3).tolist()), "sigma": round(rng.uniform(0.4, 1.6), 3)}


def _draw_regularised(rng: np.random.Generator) -> dict[str, Any]:
    return {**_draw(rng), "gamma": round(rng.uniform(0.1, 20.0), 3)}


def _jare(s: float, gamma: float) -> np.ndarray:
    return roots((s + gamma) / 2, (gamma**2 + 4) / 16)


def _consensus(s: float, gamma: float) -> np.ndarray:
    return roots((2 * s + gamma * (2 + s**2)) / 4, (gamma**2 + 2 * gamma * s + 4) / 16)


def _predict_sgd(mean: Any, sigma: float) -> dict[str, Any]:
    return {"eigenvalues": spectrum(mean, *map(simgd, moments(mean, sigma)))}


def _literal_sgd(mean: Any, sigma: float) -> dict[str, Any]:
    return {"eigenvalues": np.concatenate([simgd(s) for s in moments(mean, sigma)])}


def _compute_sgd(mean: Any, sigma: float) -> dict[str, Any]:
    return {"eigenvalues": gd.stability(*linear_gan(mean, sigma)).eigenvalues}


_MULTIPLICITIES = (
    "The source gives four eigenvalues in any dimension n: those with sigma^2 have multiplicity n - 1 each, those with beta^2 "
    "multiplicity 1. They hold at the equilibrium, not at every point of a ball around it (see NP09)."
)

NP01 = Claim(
    key="NP01",
    source=NIE_PATEL,
    title="The linear vanilla GAN has the eigenvalues of Theorem 1",
    formula=r"\lambda = \tfrac14\left(-s \pm \sqrt{s^2-4}\right),\quad s = \sigma^2\ (n-1\text{ times}),\ "
    r"\beta^2 = \sigma^2 + \lVert v\rVert^2\ (\text{once})",
    predict=_predict_sgd,
    compute=_compute_sgd,
    settings=_SETTINGS,
    draw=_draw,
    published=(
        {"eigenvalues": [-2.1274906716, -0.1225 - 0.484761539316j, -0.1225 + 0.484761539316j, -0.117509328402]},
        {"eigenvalues": [-0.3125 - 0.3903123749j, -0.3125 + 0.3903123749j, -0.25 - 0.433012701892j, -0.25 + 0.433012701892j]},
        {"eigenvalues": [-6.2399354832, -1.03949968711, -0.240500312891, -0.0400645168004]},
    ),
    literal=_literal_sgd,
    correction=_MULTIPLICITIES,
)


def _predict_jare(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    return {"eigenvalues": spectrum(mean, *[_jare(s, gamma) for s in moments(mean, sigma)])}


def _literal_jare(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    return {"eigenvalues": np.concatenate([_jare(s, gamma) for s in moments(mean, sigma)])}


def _compute_jare(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    game, x = linear_gan(mean, sigma)
    return {"eigenvalues": gd.stability(gd.jare(game, gamma), x).eigenvalues}


def _at_public_code(system: gd.AbstractFlow) -> gd.Stability:
    return gd.stability(system, linear_gan(**PUBLIC_CODE)[1], throw=False)


def _weight(system: gd.FieldNorm) -> Any:
    return system.weight


def _over_gamma(regulariser: Any, gammas: np.ndarray) -> gd.Sweep:
    system = regulariser(linear_gan(**PUBLIC_CODE)[0], 1.0)
    return gd.sweep(_at_public_code, system, {"gamma": (_weight, gammas)}, progress=False)


def _plot_paths(ax: Any) -> None:
    gd.plot.paths(_over_gamma(gd.jare, np.linspace(0.0, 8.0, 161)), ax=ax)


NP02 = Claim(
    key="NP02",
    source=NIE_PATEL,
    title="Under JARE the linear vanilla GAN has the eigenvalues of Theorem 3",
    formula=r"\lambda = \tfrac14\left(-(s+\gamma) \pm \sqrt{(s+\gamma)^2-(\gamma^2+4)}\right),\quad s = \sigma^2, \beta^2",
    predict=_predict_jare,
    compute=_compute_jare,
    settings=_REGULARISED,
    draw=_draw_regularised,
    published=(
        {"eigenvalues": [-2.6259976067, -0.3725 - 0.416825802944j, -0.3725 + 0.416825802944j, -0.119002393301]},
        {"eigenvalues": [-6.19592306083, -3.23691537253, -2.00808462747, -1.04907693917]},
        {"eigenvalues": [-0.625, -0.5 - 0.25j, -0.5, -0.5 + 0.25j]},
        {"eigenvalues": [-4, -3.7807764064, -1.7192235936, -1.625]},
        {"eigenvalues": [-6.73359088406, -1.58253158773, -0.197468412273, -0.0464091159354]},
        {"eigenvalues": [-10.6708647368, -4.97292116579, -1.30707883421, -0.609135263198]},
    ),
    literal=_literal_jare,
    correction=_MULTIPLICITIES,
    figure=_plot_paths,
)


def _predict_consensus(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    across, along = moments(mean, sigma)
    return {
        "eigenvalues": spectrum(mean, _consensus(across, gamma), _consensus(along, gamma)),
        "tau as gamma grows": ((along + np.sqrt(along**2 + 4)) / 2) ** 4,
    }


def _compute_consensus(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    game, x = linear_gan(mean, sigma)
    tau = [float(gd.stability(gd.consensus(game, g), x).tau) for g in (1e6, 1e8)]
    return {
        "eigenvalues": gd.stability(gd.consensus(game, gamma), x).eigenvalues,
        "tau as gamma grows": extrapolate(*tau, factor=100),
    }


def _plot_moduli(ax: Any) -> None:
    gammas = np.geomspace(0.01, 1e3, 161)
    for name, regulariser, style in (("JARE", gd.jare, "-"), ("consensus", gd.consensus, "--")):
        moduli = np.sort(np.abs(_over_gamma(regulariser, gammas).values.eigenvalues))
        ax.loglog(gammas, moduli, style, color="C0" if style == "-" else "C1", label=[name, "", "", ""])
    ax.set(xlabel=r"$\gamma$", ylabel=r"$|\lambda|$", title="Conditioning under JARE and under consensus")
    ax.legend()


NP03 = Claim(
    key="NP03",
    source=NIE_PATEL,
    title="Consensus optimisation cures the phase factor of the linear GAN but not its conditioning factor",
    formula=r"\lambda^2 + \tfrac14(2s+\gamma(2+s^2))\lambda + \tfrac1{16}(\gamma^2+2\gamma s+4) = 0;\quad "
    r"\tau \to \left(\tfrac12(\beta^2+\sqrt{\beta^4+4})\right)^4",
    predict=_predict_consensus,
    compute=_compute_consensus,
    settings=_REGULARISED,
    draw=_draw_regularised,
    published=(
        {"eigenvalues": [-7.67112382728, -0.4025125 - 0.460145289386j, -0.4025125 + 0.460145289386j, -0.113901172719]},
        {"eigenvalues": [-57.4343570673, -4.11813195967, -1.72711804033, -0.210892932706]},
        {"eigenvalues": [-1.0826659826, -0.625 - 0.216506350946j, -0.625 + 0.216506350946j, -0.432959017402]},
        {"eigenvalues": [-8.59298461736, -6.87228132327, -1.12771867673, -0.938265382636]},
        {"eigenvalues": [-46.1776335108, -3.22209941503, -0.196300584969, -0.0407664892477]},
        {"eigenvalues": [-405.609267523, -22.2276057197, -0.436394280261, -0.0547324772325]},
    ),
    figure=_plot_moduli,
)


def _predict_factors(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    s, along = moments(mean, sigma)
    width = np.sqrt(max(along**2 + 2 * along * gamma - 4, 0.0))
    return {
        "last gamma with complex eigenvalues": (4 - s**2) / (2 * s),
        "double eigenvalue": np.full(2, -(4 + s**2) / (8 * s), complex),
        "zeta": np.sqrt(max(4 - s**2 - 2 * s * gamma, 0.0)) / (s + gamma),
        "tau": (gamma + along + width) / (gamma + along - width),
        "(tau - 1) / (tau + 1) sqrt(gamma) as gamma grows": np.sqrt(2 * along),
    }


def _last_complex(game: gd.GAN, x: gd.Players) -> float:
    """Where the complex eigenvalues disappear, by bisection to the last bit."""
    low, high = 0.0, 100.0
    while low < (middle := (low + high) / 2) < high:
        rotates = np.iscomplexobj(eigenvalues(gd.jare(game, middle), x))
        low, high = (middle, high) if rotates else (low, middle)
    return high


def _compute_factors(mean: Any, sigma: float, gamma: float) -> dict[str, Any]:
    game, x = linear_gan(mean, sigma)
    critical = _last_complex(game, x)
    # In one dimension without a mean the pair with s = sigma^2 is alone.
    alone, origin = linear_gan((0.0,), sigma)
    double = gd.stability(gd.jare(alone, critical), origin)
    here = gd.stability(gd.jare(game, gamma), x)
    large = (1e4, 1e6)
    tau = [float(gd.stability(gd.jare(game, g), x).tau) for g in large]
    return {
        "last gamma with complex eigenvalues": critical,
        "double eigenvalue": Measured(double.eigenvalues, float(double.error)),
        "zeta": here.zeta,
        "tau": here.tau,
        "(tau - 1) / (tau + 1) sqrt(gamma) as gamma grows": extrapolate(
            *[(t - 1) / (t + 1) * np.sqrt(g) for t, g in zip(tau, large, strict=True)], factor=100
        ),
    }


def _plot_factors(ax: Any) -> None:
    gammas = np.linspace(0.0, 8.0, 161)
    for name, regulariser, style in (("JARE", gd.jare, "-"), ("consensus", gd.consensus, "--")):
        found = _over_gamma(regulariser, gammas).values
        ax.plot(gammas, found.zeta, style, color="C0", label=rf"$\zeta$, {name}")
        ax.plot(gammas, found.tau, style, color="C1", label=rf"$\tau$, {name}")
    last = _predict_factors(**PUBLIC_CODE, gamma=1.0)["last gamma with complex eigenvalues"]
    ax.axvline(last, color="0.6", linewidth=0.8, label=r"$\gamma_c$")
    ax.set(xlabel=r"$\gamma$", ylabel="factor", title="Phase and conditioning factor of the linear GAN")
    ax.set_yscale("symlog")
    ax.set_ylim(bottom=0.0)
    ax.legend()


def _draw_plane(rng: np.random.Generator) -> dict[str, Any]:
    mean = tuple(rng.normal(size=2).round(3).tolist())
    return {"mean": mean, "sigma": round(rng.uniform(0.4, 1.2), 3), "gamma": round(rng.uniform(0.1, 20.0), 3)}


NP04 = Claim(
    key="NP04",
    source=NIE_PATEL,
    title="JARE takes the phase factor to zero and the conditioning factor to one",
    formula=r"\zeta = \frac{\sqrt{\max(0, 4-\sigma^4-2\sigma^2\gamma)}}{\sigma^2+\gamma},\quad "
    r"\gamma_c = \frac{4-\sigma^4}{2\sigma^2}:\ \lambda = -\frac{4+\sigma^4}{8\sigma^2}\text{ twice};\quad "
    r"\tau = \frac{\gamma+\beta^2+r}{\gamma+\beta^2-r},\ r = \sqrt{\max(0, \beta^4+2\beta^2\gamma-4)}",
    predict=_predict_factors,
    compute=_compute_factors,
    settings=({**PUBLIC_CODE, "gamma": 1.0}, {**PUBLIC_CODE, "gamma": 10.0}),
    draw=_draw_plane,
    published=({"last gamma with complex eigenvalues": 3.836632653061},),
    correction="The source has zeta -> 0 and tau -> 1 as gamma -> infinity. zeta is exactly zero from a finite gamma on, and "
    "tau approaches one only slowly, like 1 + 2 sqrt(2 beta^2 / gamma). Where P^T P is no multiple of the identity, tau tends "
    "to cond(P^T P) instead (see NP10), and the imaginary parts of a Wasserstein game never vanish (see NP10b).",
    figure=_plot_factors,
)

# The curvature of each divergence's function at one.
_DIVERGENCES = {"kl": 1.0, "pearson": 2.0, "hellinger": 0.5, "reverse_kl": 1.0, "neyman": 2.0, "jensen_shannon": 0.5}


def _predict_divergence(divergence: str, mean: Any, sigma: float) -> dict[str, Any]:
    pairs = [roots(s / _DIVERGENCES[divergence], 1.0) for s in moments(mean, sigma)]
    return {"eigenvalues": spectrum(mean, *pairs)}


def _compute_divergence(divergence: str, mean: Any, sigma: float) -> dict[str, Any]:
    return {"eigenvalues": eigenvalues(*linear_gan(mean, sigma, getattr(gd.objectives, divergence)))}


def _draw_divergence(rng: np.random.Generator) -> dict[str, Any]:
    mean, sigma = tuple(rng.normal(size=2).round(3).tolist()), round(rng.uniform(0.3, 1.2), 3)
    return {"divergence": str(rng.choice(list(_DIVERGENCES))), "mean": mean, "sigma": sigma}


NP11 = Claim(
    key="NP11",
    source=NIE_PATEL,
    title="Lemma 3 for the linear GAN of an f-divergence: only the curvature of f at one matters",
    formula=r"\lambda^2 + \frac{s}{\varphi''(1)}\lambda + 1 = 0,\quad s = \sigma^2, \beta^2",
    predict=_predict_divergence,
    compute=_compute_divergence,
    settings=tuple({"divergence": name, "mean": (0.5, 0.2), "sigma": 0.6} for name in _DIVERGENCES),
    draw=_draw_divergence,
    published=(
        {"eigenvalues": [-0.325 - 0.945714015969j, -0.325 + 0.945714015969j, -0.18 - 0.983666610189j, -0.18 + 0.983666610189j]},
        {
            "eigenvalues": [
                -0.1625 - 0.986708543593j,
                -0.1625 + 0.986708543593j,
                -0.09 - 0.995941765366j,
                -0.09 + 0.995941765366j,
            ]
        },
        {"eigenvalues": [-0.65 - 0.759934207679j, -0.65 + 0.759934207679j, -0.36 - 0.932952303175j, -0.36 + 0.932952303175j]},
    ),
)

CLAIMS: tuple[Claim, ...] = (NP01, NP02, NP03, NP04, NP08, NP09, NP10, NP10B, NP11)
