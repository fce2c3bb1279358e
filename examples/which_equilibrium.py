"""
Which equilibrium is it?
========================

A GAN whose generator is too small for the data has no Nash equilibrium: against the best discriminator the best generator would
rather do something else. It is an equilibrium all the same, once a move of the discriminator is allowed for at a price.
Farnia and Ozdaglar (2020).
"""

import jax

jax.config.update("jax_enable_x64", True)

import functools

import numpy as np

import gandyn as gd

# %%
# Data of standard deviation two, and a generator :math:`az + b` with :math:`|a|, |b| \le 1`. The best discriminator of the
# W2GAN against the widest generator is solved for, and `notions` says which equilibrium the two are.

game, unit = gd.games.w2_gaussian(4.0), gd.games.unit_generator()
x = gd.Proximal(game, 0.0).maximum(gd.Players(*jax.tree.map(jax.numpy.asarray, ((1.0, 0.0), (0.0, 0.0)))))
print(gd.notions(game, x, norm=gd.sobolev, constraint=unit))

# %%
# It is no Nash equilibrium, and a profitable deviation can be exhibited. The discriminator has none: a bound says so.

best = gd.best_response(game, x, "generator", (-1.0, 1.0))
print(best)
print(gd.best_response(game, x, "discriminator", ((-1.0, -2.0), (0.9, 2.0))))

# %%
# What the generator does when the discriminator stops, from a little beside: the same experiment as on a trained network. On
# the right the price up to which the point is a proximal equilibrium, against the spread of the data.

aside = gd.Players((1.0, 0.01), x.discriminator)
alone = gd.keep_optimising(game, aside, 40, method=functools.partial(gd.SimGD, h=0.1), constraint=unit)


def largest(sigma):
    """The largest price, at the solution of the game with this spread."""
    solution = gd.Players((1.0, 0.0), (1 - 1 / sigma, 0.0))
    return gd.notions(gd.games.w2_gaussian(sigma**2), solution, norm=gd.sobolev, constraint=unit).proximal


sigmas = np.linspace(1.1, 6.0, 30)
figure, (left, right) = gd.plot.figure(columns=2, panels=2)
gd.plot.deviation(alone, ax=left)
with gd.plot.style():
    right.plot(sigmas, [float(largest(sigma)) for sigma in sigmas], "o", ms=3, label="proximal up to here")
    right.plot(sigmas, sigmas / (4 * (sigmas - 1)), lw=1.0, label=r"$\sigma/(4\beta(\sigma-1))$")
    right.axhline(0.25, ls="--", color="0.5", lw=1.0, label=r"$1/(4\beta)$, whatever $\sigma$")
    right.set(xlabel=r"$\sigma$ of the data", ylabel=r"largest $\lambda$, with $\beta = 1$", ylim=(0, 2))
    right.legend()
