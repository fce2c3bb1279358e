"""
The Dirac-GAN under every formulation
=====================================

The data are one point, the generator moves another, and the discriminator is linear. Near the equilibrium the
formulations differ in the speed with which training turns and in nothing else: every one is a centre. Far from it
they do differ.
"""

import jax

jax.config.update("jax_enable_x64", True)

import gandyn as gd

NAMES = (
    "minimax",
    "nonsaturating",
    "wasserstein",
    "least_squares",
    "least_squares_zero_sum",
    "hinge",
    "kl",
    "reverse_kl",
    "pearson",
    "neyman",
    "hellinger",
    "jensen_shannon",
    "total_variation",
)

# %%
# One loop asks all of them. The verdict *marginal* says that the growth is zero to within rounding.

rest = gd.Players(0.0, 0.0)
for name in NAMES:
    game = gd.games.dirac(getattr(gd.objectives, name))
    found = gd.stability(game, rest)
    print(f"{name:23} {found.verdict:9} {found.kind:7} growth {found.growth + 0.0:.1e}  rotation {found.rotation:.3f}")

ax = gd.plot.spectrum(gd.stability(gd.games.dirac(gd.objectives.minimax), rest), label="minimax, nonsaturating")
gd.plot.spectrum(gd.stability(gd.games.dirac(gd.objectives.wasserstein), rest), label="the others", ax=ax)

# %%
# Far from the equilibrium a marginal verdict leaves everything open. Zero-sum games run on circles until they meet
# another equilibrium. The non-saturating game spirals in, but slower than any exponential. Zero-sum least squares has a
# hyperbola of equilibria, and an orbit that starts far enough out ends there.

figure, axes = gd.plot.figure(columns=2, panels=2, height=4.4)
box, starts = (gd.Players(-2.0, -2.0), gd.Players(2.0, 2.0)), [gd.Players(0.6, 0.0), gd.Players(1.7, 0.3)]
for ax, name in zip(axes, ("nonsaturating", "least_squares_zero_sum"), strict=True):
    game = gd.games.dirac(getattr(gd.objectives, name))
    gd.plot.portrait(game, box, starts=starts, horizon=40.0, ax=ax).set_title(name)
