"""
Stability regions of solvers as training algorithms
===================================================

A Runge–Kutta or implicit step multiplies the mode of an eigenvalue lambda by R(h lambda). Training converges near the
equilibrium while every eigenvalue of the game lies in the region where the modulus of R is below one.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp

import gandyn as gd

# %%
# The linear GAN of Nie and Patel (2019), its data a normal law in the plane: one pair of eigenvalues that turns, and two
# real ones.

game = gd.games.linear(mean=(0.0, 2.0), sigma=0.7)
rest = gd.Players(jnp.array([0.0, 2.0]), jnp.zeros(2))
print(gd.stability(game, rest))

# %%
# At a step of 1.2 simultaneous descent, the explicit Euler method, leaves the pair outside its disc, and the fast real
# eigenvalue too. Methods of higher order reach up along the imaginary axis, and RK4 has a part of it inside. On the right
# the implicit methods: the implicit Euler step, which is the proximal point method, is stable everywhere outside a disc,
# even where the flow is not; the implicit midpoint rule exactly where the flow is.

h = 1.2
explicit = {
    "Euler (SimGD)": gd.SimGD(game, h),
    "Heun": gd.RungeKutta(game, h, gd.HEUN),
    "RK4": gd.RungeKutta(game, h),
}
implicit = {
    "implicit Euler": gd.ProximalPoint(game, h),
    "implicit midpoint": gd.Implicit(game, h, 0.5),
}
figure, axes = gd.plot.figure(columns=2, panels=2, height=3.6)
for ax, maps in zip(axes, (explicit, implicit), strict=True):
    gd.plot.stability_region(maps, rest, box=(-2.7 - 2.7j, 2.0 + 2.7j), ax=ax)

# %%
# The picture and the verdicts say the same.

for name, step in (explicit | implicit).items():
    found = gd.stability(step, rest)
    print(f"{name:18} {found.verdict:9} growth {found.growth:.4f}")

# %%
# Methods made for games are no solvers, and bend over the imaginary axis. One that remembers has several multipliers for
# each eigenvalue, and the largest counts. Momentum trades one kind of mode for the other: a positive one allows longer
# steps along real eigenvalues and shorter ones along pairs that turn, a negative one the reverse, and with neither does the
# region cross the axis while the players move at once.

games = {
    "extragradient": gd.ExtraGradient(game, h),
    "optimistic": gd.Optimistic(game, h / 2),
    "momentum 0.5": gd.Momentum(game, h / 2, 0.5),
    "momentum -0.5": gd.Momentum(game, h, -0.5),
}
gd.plot.stability_region(games, rest, box=(-2.7 - 2.0j, 1.0 + 2.0j))
