"""Claims whose content is an assumption of a theorem, once more through `gd.assumptions`: further values of their entries."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import gandyn as gd

from ._claim import NAGARAJAN_KOLTER, NIE_PATEL, Claim
from ._linear_gan import linear_gan, moments
from ._nagarajan_kolter import affine, couplings, redundant
from ._uniform_games import moment


class _Values(NamedTuple):
    predict: Callable[..., dict[str, Any]]
    compute: Callable[..., dict[str, Any]]


def _lemma(q: np.ndarray, p: np.ndarray) -> float:
    """The lemma's bound on real parts."""
    low, high = np.linalg.eigvalsh(q)[[0, -1]]
    coupling = np.linalg.svd(p, compute_uv=False)[-1] ** 2
    return max(-low / 2, -low * coupling / (high * low + coupling))


def _blocks(q: Any, p: Any) -> gd.Assumptions:
    """The assumptions on the game with the Jacobian [[-Q, P], [-P^T, 0]], discriminator first."""
    q, p = np.array(q), np.array(p)
    return gd.assumptions(gd.games.quadratic(0.0, p.T, q), gd.Players(np.zeros(p.shape[1]), np.zeros(p.shape[0])))


def _values(found: gd.Assumptions, **keys: str) -> dict[str, Any]:
    """Some rows of a table: the numbers that decide."""
    return {name.replace("_", " "): found[key].value for name, key in keys.items()}


def _predict_blocks(low: float, high: float) -> dict[str, Any]:
    k_dd, k_dg = couplings(low, high)
    second, third = np.linalg.eigvalsh(k_dd)[-1], 2 * np.linalg.svd(k_dg, compute_uv=False)[-1] ** 2
    return {"Assumption 2": second, "Assumption 3": third, "bound": _lemma(-k_dd, k_dg), "the theorem's premises": "holds"}


def _compute_blocks(low: float, high: float) -> dict[str, Any]:
    found = gd.assumptions(*affine(low, high))
    premises = {"the theorem's premises": found.verdicts[NAGARAJAN_KOLTER.short]}
    return _values(found, Assumption_2="nk2", Assumption_3="nk3", bound="nk_bound") | premises


def _predict_hessian(low: float, high: float) -> dict[str, Any]:
    sizes = np.linalg.svd(couplings(low, high)[1], compute_uv=False)
    return {"extreme eigenvalues": 2 * sizes[::-1] ** 2, "rank": 2.0, "Assumption 3": "holds"}


def _compute_hessian(low: float, high: float) -> dict[str, Any]:
    row = gd.assumptions(*affine(low, high))["nk3"]
    ends = np.array([row.value, row.numbers["largest"]])
    return {"extreme eigenvalues": ends, "rank": row.numbers["rank"], "Assumption 3": row.verdict}


def _predict_lemma(q: Any, p: Any, seed: int) -> dict[str, Any]:
    return {"bound": _lemma(np.array(q), np.array(p)), "abscissa below": "holds"}


def _compute_lemma(q: Any, p: Any, seed: int) -> dict[str, Any]:
    row = _blocks(q, p)["nk_bound"]
    return {"bound": row.value, "abscissa below": row.verdict}


def _predict_premises(q: Any, p: Any, eta: float, seed: int) -> dict[str, Any]:
    return {"Assumption 2": -np.linalg.eigvalsh(np.array(q))[0], "Assumption 3": 2 * float(np.sum(np.array(p) ** 2))}


def _compute_premises(q: Any, p: Any, eta: float, seed: int) -> dict[str, Any]:
    return _values(_blocks(q, p), Assumption_2="nk2", Assumption_3="nk3")


def _predict_relaxed(low: float, high: float, w: float) -> dict[str, Any]:
    q, coupling = moment(4, low, high), 2 * moment(2, low, high) ** 2
    bound = max(-q / 2, -q * coupling / (q**2 + coupling))
    return {"Assumption 2": "fails", "its relaxed version": "holds", "bound across": bound}


def _compute_relaxed(low: float, high: float, w: float) -> dict[str, Any]:
    found = gd.assumptions(*redundant(low, high, w))
    verdicts = {"Assumption 2": found["nk2"].verdict, "its relaxed version": found["nk2_relaxed"].verdict}
    return verdicts | {"bound across": found["nk_bound"].value}


def _predict_wasserstein(k: Any) -> dict[str, Any]:
    return {"Assumption 2, WGAN": "fails", "Assumption 3, WGAN": 8 / 9, "g1'' + g2'', WGAN": 0.0}


def _compute_wasserstein(k: Any) -> dict[str, Any]:
    game = gd.games.uniform_affine(gd.objectives.wasserstein)
    found = gd.assumptions(game, gd.Players((1.0, 0.0), (0.0, 0.0)))
    values = {"Assumption 3, WGAN": found["nk3"].value, "g1'' + g2'', WGAN": found["np2_curvature"].value}
    return values | {"Assumption 2, WGAN": found["nk2"].verdict}


def _predict_decrease(q: Any, p: Any, x_d: Any, x_g: Any, seed: int) -> dict[str, Any]:
    return {"largest d|x|^2/dt over |x_D|^2": -2 * np.linalg.eigvalsh(np.array(q))[0]}


def _compute_decrease(q: Any, p: Any, x_d: Any, x_g: Any, seed: int) -> dict[str, Any]:
    return {"largest d|x|^2/dt over |x_D|^2": 2 * _blocks(q, p)["nk2"].value}


def _predict_rank(cases: int, seed: int) -> dict[str, Any]:
    return {"P of full rank for P = (1, 2)', Q = -1": "fails", "its condition": 1.0, "that of Q": 1.0}


def _compute_rank(cases: int, seed: int) -> dict[str, Any]:
    found = _blocks([[1.0]], [[1.0, 2.0]])
    conditions = {"its condition": found["np_p"].numbers["cond P"], "that of Q": found["np_q"].numbers["cond Q"]}
    return {"P of full rank for P = (1, 2)', Q = -1": found["np_p"].verdict} | conditions


def _predict_away(**setting: Any) -> dict[str, Any]:
    return {"the theorem's premises there": "undecided"}


def _compute_away(mean: Any, sigma: float, phi: Any, theta: Any) -> dict[str, Any]:
    found = gd.assumptions(linear_gan(mean, sigma)[0], gd.Players(np.array(phi), np.array(theta)), throw=False)
    return {"the theorem's premises there": found.verdicts[NIE_PATEL.short]}


def _predict_conditions(p: Any, q: Any, gamma: float) -> dict[str, Any]:
    return {"cond P^T P": np.linalg.cond(np.array(p)) ** 2, "cond Q": np.linalg.cond(np.array(q))}


def _compute_conditions(p: Any, q: Any, gamma: float) -> dict[str, Any]:
    found = _blocks(-np.array(q), np.array(p).T)
    return {"cond P^T P": found["np_p"].numbers["cond P"] ** 2, "cond Q": found["np_q"].numbers["cond Q"]}


def _predict_flat(k: float, gamma: float) -> dict[str, Any]:
    return {"smallest singular value of P": np.sqrt(k), "eigenvalue of Q": 0.0, "Q negative definite": "fails"}


def _compute_flat(k: float, gamma: float) -> dict[str, Any]:
    found = _blocks([[0.0]], [[np.sqrt(k)]])
    values = {"smallest singular value of P": found["np_p"].value, "eigenvalue of Q": found["np_q"].value}
    return values | {"Q negative definite": found["np_q"].verdict}


def _predict_divergence(divergence: str, mean: Any, sigma: float) -> dict[str, Any]:
    if divergence != "kl":  # Every divergence is a program of its own, and one shows what the table says.
        return {}
    across, along = moments(mean, sigma)
    return {"g1'' + g2''": -1.0, "g1'": 1.0, "cond Q": along / across, "Assumptions 1 and 2": "holds"}


def _compute_divergence(divergence: str, mean: Any, sigma: float) -> dict[str, Any]:
    if divergence != "kl":
        return {}
    found = gd.assumptions(*linear_gan(mean, sigma, gd.objectives.kl))
    slope, condition = found["np2_slope"].numbers["g1'(0)"], found["np_q"].numbers["cond Q"]
    premises = {"Assumptions 1 and 2": found.verdicts[NIE_PATEL.short]}
    return {"g1'' + g2''": found["np2_curvature"].value, "g1'": slope, "cond Q": condition} | premises


_FURTHER = {
    "NK10": _Values(_predict_blocks, _compute_blocks),
    "NK11": _Values(_predict_hessian, _compute_hessian),
    "NK12": _Values(_predict_lemma, _compute_lemma),
    "NK13": _Values(_predict_premises, _compute_premises),
    "NK14": _Values(_predict_relaxed, _compute_relaxed),
    "NK15": _Values(_predict_wasserstein, _compute_wasserstein),
    "NK16": _Values(_predict_decrease, _compute_decrease),
    "NP08": _Values(_predict_rank, _compute_rank),
    "NP09": _Values(_predict_away, _compute_away),
    "NP10": _Values(_predict_conditions, _compute_conditions),
    "NP10b": _Values(_predict_flat, _compute_flat),
    "NP11": _Values(_predict_divergence, _compute_divergence),
}


def through_assumptions(claim: Claim) -> Claim:
    """The claim with its assumptions' values, if its content is one; the claim itself otherwise."""
    if claim.key not in _FURTHER:
        return claim
    further = _FURTHER[claim.key]
    return dataclasses.replace(
        claim,
        predict=lambda **setting: claim.predict(**setting) | further.predict(**setting),
        compute=lambda **setting: claim.compute(**setting) | further.compute(**setting),
    )
