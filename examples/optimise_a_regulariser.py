"""
Optimising a regulariser
========================

Consensus optimisation makes the Dirac-GAN stable under simultaneous gradient descent. With which strength is the largest step
size stable, and with which is a given step the fastest? Critical step sizes and rates are differentiable, so that the
gradient leads there.
"""

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np
from scipy.optimize import minimize

import gandyn as gd

game, rest = gd.games.dirac(), gd.Players(0.0, 0.0)


def critical(gamma):
    return gd.critical_step(gd.SimGD(gd.consensus(game, gamma), 0.1), rest).value


def rate(gamma, step=1.0):
    return gd.stability(gd.SimGD(gd.consensus(game, gamma), step), rest).rate


def descend(function, start):
    """The values that the method of Broyden, Fletcher, Goldfarb and Shanno visits on its way down."""
    visited, both = [start], jax.value_and_grad(lambda x: function(x[0]))
    minimize(both, [start], jac=True, callback=lambda x: visited.append(float(x[0])), tol=1e-9)
    return np.array(visited)


# %%
# The step that changes stability is found by a search, and its derivative by the implicit function theorem: where the growth g
# is zero, dh/dgamma = -(dg/dgamma)/(dg/dh).

widest = descend(lambda gamma: -critical(gamma), 0.5)
fastest = descend(rate, 0.5)
print(f"largest critical step {critical(widest[-1]):.10f} at gamma = {widest[-1]:.10f}")
print(f"fastest rate at h = 1 {rate(fastest[-1]):.10f} at gamma = {fastest[-1]:.10f}")

# %%
# With the slope c = f'(0) = 1/2 the eigenvalues are -gamma c^2 +- ic. The critical step 2 gamma/(1 + gamma^2 c^2) is largest,
# 1/c = 2, at gamma = 1/c = 2, and the square of the rate, (1 - h gamma c^2)^2 + (h c)^2, smallest at gamma = 1/(h c^2) = 4.

slope, gammas = 0.5, np.linspace(0.2, 6.0, 200)
curves = {
    "critical step size": (2 * gammas / (1 + (gammas * slope) ** 2), widest, critical),
    "rate at h = 1": (np.sqrt((1 - gammas * slope**2) ** 2 + slope**2), fastest, rate),
}
figure, axes = gd.plot.figure(columns=2, panels=2, height=2.6)
for ax, (name, (closed, visited, function)) in zip(axes, curves.items(), strict=True):
    ax.plot(gammas, closed, label="closed form")
    ax.plot(visited, [function(gamma) for gamma in visited], "o", ms=3, mfc="white", label="steps of BFGS")
    ax.plot(visited[-1], function(visited[-1]), "*", ms=11, zorder=5, label="optimum found")
    ax.set(xlabel=r"$\gamma$", ylabel=name)
    with gd.plot.style():
        ax.legend()

# %%
# Where there is no derivative there is no number. The critical step under R1 has its largest value at a double eigenvalue,
# gamma = 1, with a slope of 4 on one side and an infinite one on the other.


def under_r1(gamma):
    return gd.critical_step(gd.SimGD(gd.Penalised(game, gd.r1, gamma), 0.1), rest).value


for gamma in (0.9, 1.0, 1.1):
    print(f"gamma = {gamma}: slope {jax.grad(under_r1)(gamma):.6f}")
