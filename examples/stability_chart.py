"""
A stability chart with its closed form
======================================

The Dirac-GAN with R1, trained by simultaneous and by alternating gradient descent: for which weights and step sizes
does it converge? The package computes 90 000 spectra for each chart from the game; the boundaries drawn on top are
formulas.
"""

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import gandyn as gd

rest = gd.Players(0.0, 0.0)
game = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)


def verdict(system):
    return gd.stability(system, rest, throw=False)


gammas, steps = np.linspace(0.01, 3.0, 300), np.linspace(0.01, 5.0, 300)
grid = {"weight": (lambda s: s.flow.weight, gammas), "step size": (lambda s: s.h, steps)}
charts = {method: gd.sweep(verdict, method(game, 0.1), grid) for method in (gd.SimGD, gd.AltGD)}

# %%
# With the slope f'(0) = 1/2 the flow has the eigenvalues -gamma/2 +- sqrt(gamma^2/4 - f'(0)^2). Simultaneous descent
# loses stability at the step gamma / f'(0)^2 while they are complex, by a pair of multipliers that leaves the unit
# circle, and at two over the largest modulus once they are real, by a multiplier that passes through -1. Alternating
# descent loses it at (sqrt(gamma^2 + 4 f'(0)^2) - gamma) / f'(0)^2, always through -1.

slope = 0.5
fast = gammas / 2 + np.sqrt(np.maximum(gammas**2 / 4 - slope**2, 0.0))
closed = {
    gd.SimGD: np.where(gammas < 2 * slope, gammas / slope**2, 2 / fast),
    gd.AltGD: (np.sqrt(gammas**2 + 4 * slope**2) - gammas) / slope**2,
}

figure, axes = gd.plot.figure(columns=2, panels=2, height=3.0)
for ax, (method, chart) in zip(axes, charts.items(), strict=True):
    gd.plot.chart(chart, curves={"closed form": (gammas, closed[method])}, ax=ax).set_title(method.__name__)

# %%
# How well do they agree? A cell should be stable exactly where its step size lies below the curve.

for method, chart in charts.items():
    below = steps[None, :] < closed[method][:, None]
    stable = np.asarray(chart.values.verdict) == "stable"
    print(f"{method.__name__}: {np.sum(stable != below)} of {stable.size} cells on the wrong side")

# %%
# The fastest settings lie at the tips: there both multipliers of the linear part vanish, and convergence is faster than
# linear.

for method, chart in charts.items():
    i, j = np.unravel_index(np.argmin(chart.values.rate), chart.values.rate.shape)
    print(f"{method.__name__}: rate {chart.values.rate[i, j]:.3f} at weight {gammas[i]:.2f}, step size {steps[j]:.2f}")
