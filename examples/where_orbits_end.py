"""
Where orbits end
================

The same game ends in different places for different starts and for different algorithms. `attractor` says where one orbit
ends and why; `basins` colours a whole box of starts; `lyapunov` tells order from chaos.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp

import gandyn as gd

# %%
# Without a penalty the Dirac-GAN keeps the circle on which it started. Simultaneous descent is thrown off it; with a
# penalty it comes to rest, up to a critical step size, beyond which it stays on a circle of its own.

start = gd.Players(0.8, 0.3)
penalised = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
for h in (0.5, 1.25):
    end = gd.attractor(gd.SimGD(penalised, h), start)
    print(f"SimGD, h = {h}: {end.kind}, because {end.why}")

# %%
# The uniform game has two equilibria, a generator and its mirror image, and the start decides between them.

game = gd.Penalised(gd.games.uniform(), gd.r1, 0.2)
step = gd.AltGD(game, 0.5)
box = gd.Players(-2.0, -2.0), gd.Players(2.0, 2.0)
found = gd.basins(step, box, (41, 41), [gd.Players(1.0, 0.0), gd.Players(-1.0, 0.0)])
print(found)
gd.plot.basins(found)

# %%
# Chaos has a positive Lyapunov exponent. The Lorenz system is the usual example; its exponents add up to its mean divergence.

print(gd.lyapunov(gd.textbook.Lorenz(), jnp.array([1.0, 1.0, 20.0])))
