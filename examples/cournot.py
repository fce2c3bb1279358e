"""
Three firms: a game that is no GAN
==================================

Three firms choose how much to produce; the price falls with the total (Cournot, 1838). Each firm follows the gradient
of its own profit. When does the market settle?
"""

import jax

jax.config.update("jax_enable_x64", True)

from typing import NamedTuple

import numpy as np

import gandyn as gd


class Firms(NamedTuple):
    north: float
    south: float
    west: float


class Cournot(gd.AbstractGame):
    slope: float
    costs: Firms

    def losses(self, x):
        price = 12.0 - self.slope * sum(x)
        return tuple((cost - price) * output for cost, output in zip(self.costs, x, strict=True))


market = Cournot(1.0, Firms(1.0, 2.0, 3.0))

# %%
# One loss per player is the whole game. The state is a named tuple with the players' own names.

rest = gd.equilibrium(market, Firms(1.0, 1.0, 1.0)).state
print({firm: round(float(output), 6) for firm, output in rest._asdict().items()})
print(gd.stability(market, rest))

# %%
# In continuous time the market settles. In steps it depends on their size, and on whether all firms move at once or in
# turn. With a slope of one, the best reply to the others is a gradient step of size one half: just the critical step.
# So firms that all answer at once overshoot for ever (Theocharis, 1960), and firms that answer in turn do not.

print("all at once:", gd.critical_step(gd.SimGD(market, 0.1), rest))
print("in turn:    ", gd.critical_step(gd.AltGD(market, 0.1), rest))

figure, axes = gd.plot.figure(columns=2, panels=2, height=2.6)
moves = {"all at once": gd.SimGD(market, 0.5), "in turn": gd.AltGD(market, 0.5, order=("west", "north", "south"))}
for ax, (name, step) in zip(axes, moves.items(), strict=True):
    gd.plot.coordinates(gd.iterate(step, Firms(1.0, 2.0, 3.0), 20), ax=ax).set_title(name)

# %%
# The larger the slope, the smaller the step: the boundary is at 1 / (2 slope).


def verdict(system):
    found = gd.equilibrium(system, Firms(1.0, 1.0, 1.0), throw=False)
    return gd.stability(system, found.state, throw=False)


slopes = np.linspace(0.25, 2.0, 60)
chart = gd.sweep(
    verdict,
    gd.SimGD(market, 0.1),
    {"slope": (lambda s: s.flow.slope, slopes), "step": (lambda s: s.h, np.linspace(0.05, 1.5, 60))},
)
gd.plot.chart(chart, curves={"1 / (2 slope)": (slopes, 0.5 / slopes)})
