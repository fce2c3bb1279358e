"""
Regularisers compared
=====================

One game, six regularisers: where they move the spectrum, what they do to the phase and conditioning factors, and how
large a step they allow.
"""

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import gandyn as gd

game = gd.games.dirac()
rest = gd.Players(0.0, 0.0)
flows = {
    "none": game,
    "R1": gd.Penalised(game, gd.r1, 0.3),
    "instance noise": gd.instance_noise(game, 0.7),
    "weight decay": gd.Penalised(game, gd.weight_decay, 0.3),
    "Nagarajan-Kolter": gd.nagarajan_kolter(game, 0.5),
    "JARE": gd.jare(game, 1.0),
    "consensus": gd.consensus(game, 1.0),
}

# %%
# A penalty takes a game and gives a game, a regulariser of the field takes a flow and gives a flow; for the analyses
# there is no difference. On this game weight decay is R1, because the discriminator's slope is its weight.

print(f"{'':17} verdict   growth   zeta   tau   critical step")
for name, flow in flows.items():
    found = gd.stability(flow, rest)
    step = gd.critical_step(gd.SimGD(flow, 0.1), rest, throw=False).value
    print(f"{name:17} {found.verdict:9} {found.growth + 0.0:.4f}  {found.zeta:.3f}  {found.tau:.3f}  {step:.4f}")

# %%
# The spectra, with the disc in which simultaneous descent with a step of 1.2 is stable: R1 with a weight of 0.3 lies on
# its rim.

figure, ax = gd.plot.figure(height=3.6)
for name in ("none", "R1", "instance noise", "Nagarajan-Kolter", "JARE"):
    step = 1.2 if name == "JARE" else None
    gd.plot.spectrum(gd.stability(flows[name], rest), label=name, step=step, ax=ax)

# %%
# The same strengths at work: alternating descent with a step of 0.2, all from one start.

start = gd.Players(1.2, 0.0)
figure, ax = gd.plot.figure(height=3.6)
for name in ("none", "R1", "JARE"):
    gd.plot.trajectory(gd.iterate(gd.AltGD(flows[name], 0.2), start, 120), label=name, ax=ax)

# %%
# More is not better. As the weight of R1 grows the pair of eigenvalues meets on the real axis, where the weight is
# twice the frequency of the game, and beyond that one of them comes back towards zero.


def verdict(system):
    return gd.stability(system, rest, throw=False)


paths = gd.sweep(verdict, flows["R1"], {"weight": (lambda s: s.weight, np.linspace(0.0, 1.5, 151))})
best = int(np.argmin(paths.values.growth))
print(f"lowest growth {paths.values.growth[best]:.4f} at weight {paths.axes['weight'][best]:.2f}")
gd.plot.paths(paths)
