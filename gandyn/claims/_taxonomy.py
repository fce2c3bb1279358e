"""What every variant of the Dirac-GAN ends on, in one figure."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

import gandyn as gd

from ._claim import Claim
from ._dirac import ours
from ._methods import PACKAGE
from ._orbits import gradient_penalised

_DIRAC, _O = gd.games.dirac, gd.objectives


class OneOf(gd.AbstractFlow):
    """One of several flows on the same states, chosen by a number: as many systems as one likes for one compilation."""

    flows: tuple[gd.AbstractFlow, ...]
    which: Int[Array, ""]

    def __call__(self, x: PyTree) -> PyTree:
        """The velocity of the chosen one."""
        return jax.lax.switch(self.which, [lambda y, f=f: f(y) for f in self.flows], x)

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the chosen one, and ones where others have more."""
        most = max(jax.eval_shape(flow.switches, x).size for flow in self.flows)

        def padded(y: PyTree, flow: gd.AbstractFlow) -> Array:
            values = flow.switches(y)
            return jnp.concatenate([values, jnp.ones(most - values.size)])

        return jax.lax.switch(self.which, [lambda y, f=f: padded(y, f) for f in self.flows], x)


class OneMap(gd.AbstractMap):
    """One of several maps on the same states, chosen by a number."""

    maps: tuple[gd.AbstractMap, ...]
    which: Int[Array, ""]

    def __call__(self, x: PyTree) -> PyTree:
        """The image under the chosen one."""
        return jax.lax.switch(self.which, [lambda y, f=f: f(y) for f in self.maps], x)


def _smooth() -> dict[str, tuple[gd.AbstractFlow, str]]:
    return {
        "zero-sum": (_DIRAC(), "centre"),
        "Wasserstein": (_DIRAC(_O.wasserstein), "centre"),
        "least squares, zero-sum": (_DIRAC(_O.least_squares_zero_sum), "centre"),
        "non-saturating": (_DIRAC(_O.nonsaturating), "equilibrium"),
        "least squares": (_DIRAC(_O.least_squares), "equilibrium"),
        "R1": (gd.Penalised(_DIRAC(), gd.r1, 0.3), "equilibrium"),
        "quartic penalty": (gradient_penalised(1.0, 1.0, gd.quartic), "limit cycle"),
    }


def _damped() -> dict[str, tuple[gd.AbstractFlow, str]]:
    return {
        "instance noise": (gd.instance_noise(_DIRAC(), 0.7), "equilibrium"),
        "consensus": (gd.consensus(_DIRAC(), 0.3), "equilibrium"),
    }


def _kinked() -> dict[str, tuple[gd.AbstractFlow, str]]:
    penalty = gd.gradient_penalty(0.6, gd.two_sided, gd.on_real)
    return {
        r"WGAN-GP, $\lambda = 0.7$": (gradient_penalised(0.7, 1.0), "limit cycle"),
        r"WGAN-GP, $\lambda = 3$": (gradient_penalised(3.0, 0.4), "equilibrium"),
        "WGAN-LP": (gradient_penalised(1.0, 0.8, gd.one_sided), "centre"),
        "clipping": (gd.Constrained(_DIRAC(_O.wasserstein), gd.Box(-0.7, 0.7, lambda x: x.discriminator)), "centre"),
        "one-centred": (gd.Penalised(_DIRAC(), penalty, 0.5), "limit cycle"),
    }


def _steps() -> dict[str, tuple[gd.AbstractMap, str, str]]:
    """Training algorithms, what they end on, and the variant whose flow they follow."""
    return {
        "descent, Wasserstein": (gd.SimGD(_DIRAC(_O.wasserstein), 0.2), "divergence", "Wasserstein"),
        "alternating, Wasserstein": (gd.AltGD(_DIRAC(_O.wasserstein), 0.3), "centre", "Wasserstein"),
        "descent, non-saturating": (gd.SimGD(_DIRAC(_O.nonsaturating), 0.2), "invariant circle", "non-saturating"),
        "descent, R1, $h > h_c$": (gd.SimGD(gd.Penalised(_DIRAC(), gd.r1, 0.3), 1.25), "invariant circle", "R1"),
    }


def _variants() -> dict[str, tuple[OneOf, str]]:
    variants = {}
    for group in (_smooth(), _damped(), _kinked()):
        flows = tuple(flow for flow, _ in group.values())
        variants |= {name: (OneOf(flows, jnp.asarray(i)), kind) for i, (name, (_, kind)) in enumerate(group.items())}
    return variants


def _algorithms() -> dict[str, tuple[OneMap, str, str]]:
    steps = _steps()
    maps = tuple(step for step, *_ in steps.values())
    return {name: (OneMap(maps, jnp.asarray(i)), kind, of) for i, (name, (_, kind, of)) in enumerate(steps.items())}


def _kinds() -> dict[str, Any]:
    return {name: kind for name, (_, kind, *_) in (_variants() | _algorithms()).items()}


def _kinds_computed() -> dict[str, Any]:
    return {name: gd.attractor(system, ours(0.9, 0.3)).kind for name, (system, *_) in (_variants() | _algorithms()).items()}


def _figure(ax: Any) -> None:
    figure = ax.figure
    ax.remove()
    figure.set_size_inches(10.0, 6.8)
    variants, algorithms = _variants(), _algorithms()
    panels = np.ravel(figure.subplots(3, 6, sharex=True, sharey=True))
    drawn = {name: (flow, kind, None) for name, (flow, kind) in variants.items()}
    drawn |= {name: (variants[of][0], kind, step) for name, (step, kind, of) in algorithms.items()}
    for panel, (name, (flow, kind, step)) in zip(panels, drawn.items(), strict=True):
        box = (ours(-1.6, 1.6), ours(1.6, -1.6))
        starts = (ours(0.35, 0.0), ours(1.4, 0.0))
        gd.plot.portrait(flow, box, starts=starts, step=step, horizon=120.0 if step else 40.0, equilibria=False, ax=panel)
        panel.get_legend().remove()
        panel.set_title(f"{name}\n{kind}", fontsize=8)
        panel.label_outer()
    # What the marks mean is the same everywhere, whatever the map is called.
    handles, labels = panels[-1].get_legend_handles_labels()
    named = {labels[i] if handles[i].get_marker() != "." else "training": handles[i] for i in range(len(labels))}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named), fontsize=8, markerscale=1.5)


CLAIMS = (
    Claim(
        key="MDC",
        source=PACKAGE,
        title="What each variant of the Dirac-GAN ends on, and training it: of what is called a limit cycle most are centres",
        formula=r"\dot x = v(x), \quad x \mapsto T_h(x)",
        predict=_kinds,
        compute=_kinds_computed,
        figure=_figure,
    ),
)
