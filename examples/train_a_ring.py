"""
Training on a ring
==================

Networks instead of two numbers: a generator and a discriminator learn eight Gaussians on a circle, once as the game is and
once regularised by the norm of the discriminator's gradient. Nagarajan and Kolter (2017).
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import optax

import gandyn as gd
from gandyn.training import Batches, Every, ModeCoverage, mlp, ring, train

# %%
# The game. ``network`` splits an Equinox module into its numbers, which become a player's state, and a function of them.


def game(seed):
    one, two = jax.random.split(jax.random.key(seed))
    theta, generator = gd.network(mlp((8,), (2,), width=32, depth=2, key=one))
    psi, discriminator = gd.network(mlp((2,), (), width=32, depth=1, key=two))
    laws = ring(8, radius=2.0, std=0.1), gd.Gaussian(jnp.zeros(8), 1.0)
    return gd.GAN(generator, discriminator, *laws, gd.objectives.minimax), gd.Players(theta, psi)


# %%
# A run is a map that draws a mini-batch at every application, applied for a long time. What is measured on the way has names
# and becomes curves. A mode is covered if one sample in a thousand lies within three deviations of it.


def trained(regularised, seed):
    gan, start = game(seed)
    flow = gd.nagarajan_kolter(gan, 0.5) if regularised else gan
    adam = gd.Optax(flow, optax.adam, order=("discriminator", "generator"), learning_rate=2e-3, b1=0.5)
    step = gd.Random(adam, Batches(128), jax.random.key(seed))
    return train(step, step.init(start), 2000, metrics=[Every(50, ModeCoverage(1000))]), step


plain, regularised = ([trained(flag, seed) for seed in range(3)] for flag in (False, True))
for name, runs in {"plain": plain, "regularised": regularised}.items():
    good = [f"{float(run.curves['high_quality'].values[-1]):.0%}" for run, _ in runs]
    print(f"{name:12} good samples at the end: {', '.join(good)}")

# %%
# The mean of three seeds, with its interval, and each seed. Here the regularised game covers all modes from early on, and the
# plain one two of them. Three seeds are few: where the bands overlap, nothing has been shown. ``gandyn train ring`` asks the
# question with criteria that were fixed before the runs, and with ``--full`` at the authors' sizes.

figure, axes = gd.plot.figure(columns=2, panels=2, height=2.9)
for ax, (curve, label) in zip(axes, {"modes_covered": "modes covered", "high_quality": "good samples"}.items(), strict=True):
    named = {"plain": plain, "regularised": regularised}
    curves = {name: [run.curves[curve] for run, _ in runs] for name, runs in named.items()}
    gd.plot.curves(curves, ylabel=label, ax=ax)

# %%
# Where the two have come to from the first seed, over the level sets of the discriminator: the line is where it cannot decide.

figure, axes = gd.plot.figure(columns=2, panels=2, height=3.4)
for ax, (name, runs) in zip(axes, {"plain": plain, "regularised": regularised}.items(), strict=True):
    run, step = runs[0]
    gd.plot.samples(step, step.point(run.state), jax.random.key(0), ax=ax)
    ax.set_title(name, size=9)
