"""The trajectories in the figures of Mescheder, Geiger and Nowozin (2018), at the settings of their public notebook.

No formula says where 500 steps end: the prediction is a plain loop of the update rule, written out by hand from the loss
in the paper's sign (D > 0 means fake), against the package's map on the package's game.
"""

import functools
from typing import Any

import numpy as np

import gandyn as gd

from ._claim import MESCHEDER, Claim
from ._dirac import draw_portraits, log_sigmoid_slope, ours, theirs
from ._dirac_steps import IN_TURN

STEPS = 500


def _theta(game: str, theta: float, psi: float) -> float:
    """The generator's velocity by hand."""
    slopes = {"gan": log_sigmoid_slope(theta * psi), "ns": log_sigmoid_slope(-theta * psi), "gp": 1.0}
    return -psi * slopes[game]


def _psi(game: str, theta: float, psi: float, gamma: float) -> float:
    """The discriminator's velocity by hand; gamma weighs R1, or for `gp` the penalty on slopes other than one."""
    if game == "gp":
        return theta - gamma * (abs(psi) - 1) * np.sign(psi)
    return theta * log_sigmoid_slope(theta * psi) - gamma * psi


def _loop(game: str, rule: str, h: float, theta: float, psi: float, gamma: float, n_d: int) -> dict[str, Any]:
    for _ in range(STEPS):
        moved = theta + h * _theta(game, theta, psi)
        seen = theta if rule == "sim" else moved
        for _ in range(n_d):
            psi = psi + h * _psi(game, seen, psi, gamma)
        theta = moved
    return {"end": np.array([theta, psi])}


_OBJECTIVES = {"gan": "minimax", "ns": "nonsaturating", "gp": "wasserstein"}


def _flow(game: str, gamma: float) -> gd.AbstractGame:
    penalty = gd.gradient_penalty(1.0) if game == "gp" else gd.r1
    return gd.Penalised(gd.games.dirac(getattr(gd.objectives, _OBJECTIVES[game])), penalty, gamma)


def _trajectory(game: str, rule: str, h: float, theta: float, psi: float, gamma: float, n_d: int) -> gd.Trajectory:
    flow = _flow(game, gamma)
    step = gd.SimGD(flow, h) if rule == "sim" else gd.AltGD(flow, h, order=IN_TURN, steps=(1, n_d))
    return gd.iterate(step, ours(theta, psi), STEPS)


def _computed(game: str, rule: str, **setting: Any) -> dict[str, Any]:
    return {"end": theirs(_trajectory(game, rule, **setting).final)}


def _figure(ax: Any, game: str, rule: str, settings: tuple[dict[str, Any], ...]) -> None:
    varied = [name for name in ("gamma", "n_d") if len({setting[name] for setting in settings}) > 1]
    orbits = {
        ", ".join(f"{name} = {setting[name]:g}" for name in varied) or "end at 500 steps": _trajectory(game, rule, **setting)
        for setting in settings
    }
    draw_portraits(ax, _flow(game, settings[0]["gamma"]), orbits, 3.5 if game == "gan" else 2.2)


def _draw(rng: np.random.Generator, settings: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    theta, psi = rng.uniform(0.3, 1.5, 2)
    setting = settings[rng.integers(len(settings))]
    return {**setting, "h": float(rng.uniform(0.05, 0.25)), "theta": float(theta), "psi": float(psi)}


def _claim(game: str, rule: str, title: str, ends: dict[tuple[float, int], tuple[float, float]]) -> Claim:
    """One game under one rule; `ends` maps gamma and the discriminator's steps to the published end."""
    settings = tuple({"h": 0.2, "theta": 1.0, "psi": 1.0, "gamma": gamma, "n_d": n_d} for gamma, n_d in ends)
    return Claim(
        key=f"MDF-{game}-{rule}",
        source=MESCHEDER,
        title=title,
        formula=r"(\theta, \psi)_{500} \text{ by a loop of the update rule}",
        predict=functools.partial(_loop, game, rule),
        compute=functools.partial(_computed, game, rule),
        settings=settings,
        draw=functools.partial(_draw, settings=settings),
        published=tuple({"end": np.array(end)} for end in ends.values()),
        figure=functools.partial(_figure, game=game, rule=rule, settings=settings),
    )


CLAIMS = (
    _claim(
        "gan",
        "sim",
        "Simultaneous descent spirals out of the Dirac-GAN without a penalty and into it with R1",
        {
            (0.0, 1): (-2.16161128247, -2.21777539655),
            (0.3, 1): (1.11033674881e-06, -2.39807935109e-06),
            (1.0, 1): (6.79834614512e-22, 6.67674380297e-22),
        },
    ),
    _claim(
        "gan",
        "alt",
        "Alternating descent neither leaves nor reaches the Dirac-GAN's equilibrium",
        {(0.0, 1): (0.686833661223, 1.24400729432), (0.0, 5): (0.768856513135, 1.67746659779)},
    ),
    _claim(
        "ns",
        "sim",
        "The non-saturating Dirac-GAN under simultaneous descent: held off by the step, brought in by R1",
        {(0.0, 1): (0.548337319005, 0.33044105582), (0.3, 1): (2.14738460402e-06, -5.30573557631e-07)},
    ),
    _claim(
        "ns",
        "alt",
        "The non-saturating Dirac-GAN under alternating descent creeps in",
        {(0.0, 1): (0.204888491979, 0.19655333282), (0.0, 5): (0.115890263571, -0.0765256278121)},
    ),
    _claim(
        "gp",
        "sim",
        "WGAN-GP under simultaneous descent does not converge",
        {(0.7, 1): (-0.180849194283, -1.79269414007)},
    ),
    _claim(
        "gp",
        "alt",
        "WGAN-GP under alternating descent does not converge",
        {(0.7, 1): (-0.132559472956, 1.21384995141)},
    ),
)
