"""
A GAN of one's own
==================

Any two Equinox modules, any data. The generator is a small network with thirteen weights, the discriminator sees the
first two moments of the data, and those lie in two heaps.
"""

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import gandyn as gd

# %%
# The game, in ten lines. ``network`` splits a module into its numbers, which become a player's state, and a function of
# them.


class Moments(eqx.Module):
    weights: jax.Array

    def __call__(self, x):
        return jnp.dot(self.weights, jnp.stack([x, x**2]))


theta, generator = gd.network(eqx.nn.MLP("scalar", "scalar", width_size=4, depth=1, activation=jnp.tanh, key=jax.random.key(0)))
psi, discriminator = gd.network(Moments(jnp.zeros(2)))
heaps = gd.Mixture((gd.Gaussian(-1.0, 0.04), gd.Gaussian(1.0, 0.04)))
gan = gd.GAN(generator, discriminator, heaps, gd.Uniform(-1.0, 1.0), gd.objectives.nonsaturating)
game = gd.Penalised(gan, gd.r1, 0.1)
step = gd.AltGD(game, 0.05)

# %%
# Its equilibrium: train for a while, then solve. The generator matches what the discriminator can see, and no more.

start = gd.Players(theta, psi)
orbit = gd.iterate(step, start, 1200)
rest = gd.equilibrium(game, orbit.final).state
print("moment  data      generated")
for k in (1, 2, 4):
    data, fake = (law.expectation(lambda x, k=k: x**k) for law in (gan.real, gan.samples(rest)))
    print(f"{k}       {abs(data):.6f}  {abs(fake):.6f}")

# %%
# Thirteen weights do the work of two, so the equilibrium is one of many, and a spectrum there has eleven zeros that say
# nothing. ``manifold`` finds the equilibria beside this one; with their directions set aside, the verdict is that of the
# four modes across.

beside = gd.manifold(game, rest)
print(f"a manifold of dimension {beside.dimension}, the null space has dimension {beside.kernel}")
found = gd.stability(step, rest, modulo=beside)
print(found)

# %%
# The prediction against training itself: the discriminator's weights shrink at the predicted rate.

ts, sizes = np.asarray(orbit.ts), np.linalg.norm(orbit.xs.discriminator.weights, axis=1)
late = ts > 300
slope, height = np.polyfit(ts[late], np.log(sizes[late]), 1)
print(f"growth per application: measured {slope:.4f}, predicted {found.growth:.4f}")

figure, (left, right) = gd.plot.figure(columns=2, panels=2, height=2.9)
with gd.plot.style():
    left.semilogy(ts, sizes, label="training")
    left.semilogy(ts[late], np.exp(height + float(found.growth) * ts[late]), "--", label="predicted slope")
    left.set(xlabel="applications", ylabel="size of the discriminator", ylim=(1e-9, 3))
    left.legend()
    z = jnp.linspace(-1.0, 1.0, 201)
    for name, state in {"at the start": start, "at the equilibrium": rest}.items():
        right.plot(z, jax.vmap(lambda point, state=state: generator(state.generator, point))(z), label=name)
    right.set(xlabel="latent", ylabel="generated", yticks=(-1, 0, 1))
    right.legend()
