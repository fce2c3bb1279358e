"""
Where a method stops being stable, and what lives beyond
========================================================

A critical step size is a bifurcation point. `continuation` follows the solution as a parameter moves and says which
bifurcations it meets; their normal form tells what is born there.
"""

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import gandyn as gd

# %%
# Simultaneous descent on the Dirac-GAN with R1 (Mescheder, Geiger and Nowozin, 2018). As the step size grows, the
# equilibrium meets one bifurcation, a Neimark–Sacker point, at the critical step size; it is supercritical, so that an
# attracting circle is born there.

game = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
origin = gd.Players(0.0, 0.0)
branch = gd.continuation(gd.SimGD(game, 0.5), lambda step: step.h, origin, (0.2, 1.6))
print(branch)
print("critical step", gd.critical_step(gd.SimGD(game, 0.5), origin).value)

# %%
# The picture: the equilibrium, solid while it attracts, the radius that the normal form promises, and the circles found by
# iterating.

critical = float(branch.specials[0].value)
steps = critical + np.array([0.01, 0.04, 0.1, 0.2])
circles = [gd.invariant_circle(gd.SimGD(game, h), gd.Players(0.3, 0.0)) for h in steps]
fine = np.linspace(critical + 1e-4, steps[-1], 15)
radii = [gd.normal_form(gd.SimGD(game, h), origin).radius for h in fine]

with gd.plot.style():
    ax = gd.plot.branch(branch, name="step size h")
    ax.plot(fine, radii, color="0.5", ls=":", label="normal form")
    ax.plot(steps, [circle.radius for circle in circles], "o", ms=3, color="#009e73", label="invariant circle")
    ax.set_ylabel("distance to the equilibrium")
    ax.legend(loc="upper left")

# %%
# Branches turn and cross. The fixed points of the Lorenz system (1963) are born at a branch point of the origin's branch and
# lose their stability at a subcritical Hopf point, beyond which there is chaos.

lorenz = gd.textbook.Lorenz(rho=0.5)
rest = gd.continuation(lorenz, lambda flow: flow.rho, jax.numpy.zeros(3), (0.0, 30.0))
moving = gd.continuation(lorenz, lambda flow: flow.rho, rest.specials[0], (0.0, 30.0))
print(rest, moving, sep="\n")
ax = gd.plot.branch([rest, moving], name=r"$\rho$")
