"""
Training algorithms compared
============================

The Wasserstein Dirac-GAN without a regulariser: its flow goes round in circles. Which training algorithms converge all
the same, with which step, and what does a step cost?
"""

import jax

jax.config.update("jax_enable_x64", True)

import gandyn as gd

game = gd.games.dirac(gd.objectives.wasserstein)
rest = gd.Players(0.0, 0.0)
turns = ("generator", "discriminator")
maps = {
    "SimGD": gd.SimGD(game, 0.3),
    "AltGD": gd.AltGD(game, 0.3),
    "extragradient": gd.ExtraGradient(game, 0.3),
    "optimistic": gd.Optimistic(game, 0.3),
    "negative momentum": gd.Momentum(game, 0.3, -0.5, order=turns),
    "lookahead": gd.Lookahead(gd.SimGD(game, 0.3), 5),
}

# %%
# Every algorithm is a map, and its growth is the logarithm of the largest modulus of its multipliers.

table = gd.compare(game, maps, rest, bracket=(1e-2, 10.0))
print(table)

# %%
# Simultaneous descent is unstable for every step, alternating descent neither comes nor goes up to a step of 2. The others
# converge; the table says until which step, and how stability is lost there. Steps are not of one price: extragradient takes
# two gradients, lookahead five.

for name in maps:
    row = table[name]
    print(f"{name:18} growth {row['growth'] + 0.0:7.4f} per application, {row['per gradient'] + 0.0:7.4f} per gradient")
gd.plot.comparison(table)

# %%
# What the table predicts is what happens: the rates measured on orbits beside those of the spectra.

start = gd.Players(1.0, 0.0)
figure, ax = gd.plot.figure(height=3.6)
for name in ("SimGD", "AltGD", "optimistic", "negative momentum"):
    step = maps[name]
    orbit = gd.iterate(step, step.init(start), 400, observe=step.point)
    found = gd.rate(orbit, rest)
    print(f"{name:18} {found.kind:12} measured {found.growth:.8f}   predicted {table[name]['growth'] + 0.0:.8f}")
    gd.plot.trajectory(gd.iterate(step, step.init(start), 40, observe=step.point), label=name, ax=ax)
