"""
Cycles, and what becomes of them
================================

`continuation` follows limit cycles as it follows equilibria: given a Hopf point it goes on with the cycles born there. Along
one branch of an electronic circuit (Freire and others, 1993; the example `torBPC` of MatCont's manual) they meet the three
bifurcations that cycles have: a fold, a torus and a period doubling.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp

import gandyn as gd


class Circuit(gd.AbstractFlow):
    nu: jax.Array

    def __call__(self, state):
        x, y, z = state
        current = 0.93358 * (y - x) ** 3
        across = (-(0.5 + self.nu) * x + 0.5 * y - 0.32858 * x**3 + current) / 0.6
        return jnp.stack([across, 0.5 * x + 0.1 * y - z - current, y + 0.001])


def nu(circuit):
    return circuit.nu


# %%
# The equilibrium has a Hopf point at -0.5893, and repels on either side: a third direction does.

circuit = Circuit(jnp.asarray(-0.65))
rest = gd.continuation(circuit, nu, jnp.array([0.0, -0.001, 0.0]), (-0.65, -0.56))
print(rest)

# %%
# The cycles repel from their birth past the fold up to the torus, which is subcritical, and attract from there to the period
# doubling. MatCont's manual prints the fold at -0.5844928, the torus at -0.5957506 and the period doubling at -0.6146817.

cycles = gd.continuation(circuit, nu, rest.specials[0], (-0.64, -0.56))
print(cycles)

# %%
# On the left the largest and the smallest voltage in a turn, on the right the period.

figure, (left, right) = gd.plot.figure(columns=2, panels=2, height=3.4)
gd.plot.branch([rest, cycles], name=r"$\nu$", ax=left)
gd.plot.periods(cycles, name=r"$\nu$", ax=right)
