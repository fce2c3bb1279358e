"""
Where orbits end
================

The same game ends in different places for different starts and for different algorithms. `attractor` says where one orbit
ends and why; `basins` colours a whole box of starts; `lyapunov` tells order from chaos.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gandyn as gd

# %%
# Every kind of end, once. Simultaneous descent on the Dirac-GAN with R1 comes to rest, up to a critical step size, beyond which
# it stays on a circle of its own. Without a penalty it is thrown off for ever more slowly, and nothing tells whether that ends.

start = gd.Players(0.8, 0.3)


def descent(gamma, h):
    return gd.SimGD(gd.Penalised(gd.games.dirac(), gd.r1, gamma), h)


# %%
# Alternating descent on a Wasserstein game keeps the curve on which it started; with a penalty and a long step it diverges.


def alternating(gamma, h):
    return gd.AltGD(gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.r1, gamma), h)


# %%
# The quartic penalty gives the Wasserstein game's flow a limit cycle. With the weight clipped so tightly that the cycle does
# not fit, the orbit slides along the bound.


def weight(x):
    return x.discriminator


def clipped(bound):
    game = gd.games.dirac(gd.objectives.wasserstein)
    penalty = gd.gradient_penalty(1.0, gd.quartic, gd.on_real)
    return gd.Constrained(gd.Penalised(game, penalty, 1.0), gd.Box(-bound, bound, weight))


# %%
# Two oscillators whose speeds have no common multiple fill a torus, and the Lorenz system is chaotic.


class Pair(gd.AbstractFlow):
    """Two Stuart-Landau oscillators side by side."""

    speeds: jnp.ndarray

    def __call__(self, x):
        r = jnp.sum(x**2, axis=1, keepdims=True)
        return x * (1 - r) + self.speeds[:, None] * jnp.stack([-x[:, 1], x[:, 0]], axis=1)


# %%
# The kinds, and a picture of each: two numbers of the state along the orbit.

pair, apart = Pair(jnp.array([1.0, np.sqrt(2)])), jnp.array([[0.3, 0.1], [0.2, 0.4]])
ends = {
    "SimGD, R1": (descent(0.3, 0.5), start, 60),
    "SimGD, R1, longer steps": (descent(0.3, 1.25), start, 400),
    "SimGD": (descent(0.0, 0.2), start, 2000),
    "AltGD, Wasserstein": (alternating(0.0, 0.3), start, 200),
    "AltGD, R1, too long steps": (alternating(1.0, 2.5), start, 4),
    "quartic penalty": (clipped(3.0), start, 40.0),
    "quartic penalty, clipped": (clipped(0.7), start, 40.0),
    "two oscillators": (pair, apart, 120.0),
    "Lorenz": (gd.textbook.Lorenz(), jnp.array([1.0, 1.0, 20.0]), 40.0),
}


def seen(system, states):
    """Two numbers of each state: the players, the first numbers of both oscillators, and x against z."""
    if isinstance(states, gd.Players):
        return states
    return (states[:, 0, 0], states[:, 1, 0]) if system is pair else (states[:, 0], states[:, 2])


figure, axes = plt.subplots(3, 3, figsize=(9, 9), layout="constrained")
for ax, (name, (system, x, span)) in zip(axes.flat, ends.items(), strict=True):
    end = gd.attractor(system, x, turns=100)
    print(f"{name}: {end.kind}, because {end.why}")
    if isinstance(system, gd.AbstractMap):
        ax.plot(*seen(system, gd.iterate(system, x, span).xs), ".", markersize=2)
    else:
        ax.plot(*seen(system, gd.integrate(system, x, jnp.linspace(0.0, span, 4001)).xs), linewidth=0.7)
    ax.set_title(f"{end.kind}\n{name}", fontsize="medium")

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
