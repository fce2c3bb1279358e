"""Data on a segment in the plane, a set without density: the setting in which penalties are needed.

After Mescheder, Geiger and Nowozin (2018).
"""

from typing import Any

import numpy as np

import gandyn as gd

from ._claim import MESCHEDER, Claim
from ._dirac import pair

EQUILIBRIUM = gd.Players((1.0, 0.0), (0.0, 0.0))


def _segment(gamma: float) -> dict[str, Any]:
    damping = 1 / 10 + 4 / 3 * gamma
    along, across = pair(-damping / 2, damping**2 / 4 - 1 / 9), pair(-gamma / 2, gamma**2 / 4 - 1 / 4)
    values, verdict = np.concatenate([along, across]), "stable" if gamma > 0 else "marginal"
    return {"R1": values, "R1 verdict": verdict, "R2": values, "R2 verdict": verdict}


def _segment_computed(gamma: float) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, penalty in (("R1", gd.r1), ("R2", gd.r2)):
        stability = gd.stability(gd.Penalised(gd.games.segment(), penalty, gamma), EQUILIBRIUM)
        values |= {name: stability.eigenvalues, f"{name} verdict": stability.verdict}
    return values


def _draw_segment(rng: np.random.Generator) -> dict[str, float]:
    # Away from 0.425 and 1, where eigenvalues collide.
    return {"gamma": float(rng.choice([rng.uniform(0.05, 0.35), rng.uniform(0.5, 0.9)]))}


def _figure_segment(ax: Any) -> None:
    for gamma in (0.0, 0.4):
        game = gd.Penalised(gd.games.segment(), gd.r1, gamma)
        gd.plot.spectrum(gd.stability(game, EQUILIBRIUM), label=rf"$\gamma = {gamma:g}$", ax=ax)


CLAIMS = (
    Claim(
        key="MD21",
        source=MESCHEDER,
        title="Data on a lower-dimensional set: no convergence across the set without a penalty, convergence with R1 or R2",
        formula=r"\lambda^2 + (\tfrac1{10} + \tfrac43\gamma)\lambda + \tfrac19 = 0, \qquad"
        r" \lambda^2 + \gamma\lambda + \tfrac14 = 0",
        predict=_segment,
        compute=_segment_computed,
        settings=({"gamma": 0.0}, {"gamma": 0.4}),
        draw=_draw_segment,
        published=tuple(
            {"R1": np.array(values), "R2": np.array(values)}
            for values in (
                [-0.05 - 0.329561998888j, -0.05 + 0.329561998888j, -0.5j, 0.5j],
                [
                    -0.316666666667 - 0.104083299973j,
                    -0.316666666667 + 0.104083299973j,
                    -0.2 - 0.458257569496j,
                    -0.2 + 0.458257569496j,
                ],
            )
        ),
        figure=_figure_segment,
    ),
)
