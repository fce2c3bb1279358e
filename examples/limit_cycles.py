"""
Limit cycles, and closed orbits that are none
=============================================

Training that goes round in circles is often said to be on a limit cycle. Most often it is not: it runs on one of a
continuum of closed orbits, which one is a matter of where it started, and the smallest change of the method destroys them
all. A limit cycle is alone, and it attracts.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gandyn as gd

# %%
# Without a penalty the Wasserstein GAN is a centre. On the Dirac-GAN every orbit closes after the same time. Where the
# generator scales a uniform distribution, the game of Nagarajan and Kolter (2017), every orbit closes too, the later the
# farther out. The dotted lines are the periods by the eigenvalues at the equilibrium.

wasserstein = gd.objectives.wasserstein
games = {
    "Dirac": (gd.games.dirac(wasserstein), gd.Players(0.0, 0.0)),
    "uniform": (gd.games.uniform(wasserstein), gd.Players(1.0, 0.0)),
}
ax = gd.plot.figure(height=2.6)[1]
for name, (game, rest) in games.items():
    starts = gd.Players(rest.generator + jnp.linspace(0.05, 1.5, 12), jnp.zeros(12))
    found = gd.family(game, starts)
    print(f"{name:8} {found}; the largest gap is {found.gaps.max():.0e}")
    gd.plot.family(found, centre=rest, label=name, ax=ax)
    rotation = np.linalg.eigvals(gd.linearize(game, rest).as_matrix()).imag.max()
    ax.axhline(2 * np.pi / rotation, color="0.5", ls=":", lw=0.9)

# %%
# A gradient penalty around a slope that is not zero leaves the Dirac-GAN a single closed orbit, a limit cycle (Mescheder,
# Geiger and Nowozin, 2018). Shooting finds it, its period and its multiplier, by which a distance from it shrinks in a turn.

penalty = gd.gradient_penalty(1.0, gd.two_sided, gd.on_real)
game = gd.Penalised(gd.games.dirac(wasserstein), penalty, 0.7)
downward = gd.Section(lambda x: x.discriminator, -1)
cycle = gd.cycle(game, gd.Players(1.0, 0.0), 6.5, downward)
print(cycle)

# %%
# In closed form the period is 2 pi / w and the multiplier exp(-0.7 pi / w), with w the square root of 1 - 0.7^2 / 4.

w = np.sqrt(1 - 0.7**2 / 4)
print(f"period off by {cycle.period - 2 * np.pi / w:.0e}")
print(f"multiplier off by {abs(cycle.multipliers[0] - np.exp(-0.7 * np.pi / w)):.0e}")

# %%
# Orbits from inside and from outside come to it.

starts = [gd.Players(0.2, 0.0), gd.Players(1.9, 0.0)]
gd.plot.cycle(game, cycle, starts=starts)

# %%
# Seen once a turn they are a sequence of numbers. The return map crosses the diagonal once; its slope there is the
# multiplier, inside the unit circle. For a centre it is the diagonal itself, and the multiplier is one.

figure, axes = gd.plot.figure(columns=2, panels=2, height=3.2)
line = [gd.Players(generator, 0.0) for generator in (0.2, 2.2, 0.6, 1.0, 1.7)]
gd.plot.return_map(game, downward, line, count=8, cobwebs=2, ax=axes[0])
gd.plot.multipliers(cycle, label="WGAN-GP", ax=axes[1])
