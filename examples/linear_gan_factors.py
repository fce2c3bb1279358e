"""
Phase and conditioning factors of the linear GAN
================================================

Nie and Patel (2019) measure by two numbers what slows training down: the phase factor zeta, how far the spectrum
turns, and the conditioning factor tau, how far it is spread. Here both are computed over the width of the data and
over the distance that the generator has to bridge, without a regulariser, with JARE and with consensus optimisation.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gandyn as gd

game = gd.games.linear(mean=(0.0, 2.0), sigma=0.7)
flows = {"none": game, "JARE": gd.jare(game, 1.0), "consensus": gd.consensus(game, 1.0)}

# %%
# The two factors at the equilibrium, where the generator has found the mean of the data. A regulariser of the field
# holds the game inside, so the lenses look there.


def inner(system):
    return system.flow if isinstance(system, gd.FieldNorm) else system


def factors(system):
    mean = inner(system).real.mean
    found = gd.stability(system, gd.Players(mean, jnp.zeros_like(mean)), throw=False)
    return {"zeta": found.zeta, "tau": found.tau}


# %%
# Data and latent share one variance: a lens that returns both leaves moves them together. A mean whose two entries are
# equal to m has the length m times the square root of two.


def variances(system):
    return inner(system).real.covariance, inner(system).latent.covariance


def mean(system):
    return inner(system).real.mean


sigmas, lengths = np.linspace(0.2, 2.0, 91), np.linspace(0.0, 3.0, 91)
axes_of = {"sigma": (variances, sigmas, sigmas**2), "length of the mean": (mean, lengths, lengths / np.sqrt(2))}

figure, panels = gd.plot.figure(columns=2, rows=2, panels=2, height=2.4)
with gd.plot.style():
    for column, (label, (where, shown, values)) in zip(panels.T, axes_of.items(), strict=True):
        for name, flow in flows.items():
            found = gd.sweep(factors, flow, {label: (where, values)}).values
            column[0].plot(shown, found["zeta"], label=name)
            column[1].plot(shown, found["tau"], label=name)
            at = int(np.argmin(np.abs(shown - 2.0)))
            print(f"{label} {shown[at]:.1f}, {name:9}: zeta {found['zeta'][at]:6.3f}, tau {found['tau'][at]:7.2f}")
        column[0].set(ylabel="zeta", ylim=(0, 10))
        column[1].set(ylabel="tau", yscale="log", xlabel=label)
    panels[0, 0].legend()

# %%
# Narrow data make a game that turns, because the discriminator is hardly damped: zeta is set by the directions across
# the mean and knows nothing of its length. Wide data and long ways make a stiff one. JARE lowers zeta and leaves tau
# nearly as it is; consensus optimisation pays for the same zeta with the conditioning.
#
# Under JARE the complex eigenvalues are gone from a weight of (4 - s^2) / (2s) on, where s is the variance:

s = 0.49
weight = (4 - s**2) / (2 * s)
for strength in (0.999 * weight, 1.001 * weight):
    print(f"weight {strength:.4f}: zeta {factors(gd.jare(game, strength))['zeta']:.4f}")
