"""`gandyn stability`: an equilibrium, its spectrum and the verdict."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from .. import _tree
from .._system import AbstractSystem
from ..analysis._equilibrium import Equilibrium, Manifold, equilibrium, manifold
from ..analysis._stability import stability
from ..analysis._threshold import Threshold, critical_step
from ..analysis._verdict import Stability
from ._console import check_folder, describe, double_precision, show, show_json
from ._options import FAILED, FINE, System
from ._specs import Setup, assemble, settings


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is to say of a system: of the flow always, of the map and across a manifold where there are any."""

    equilibrium: Equilibrium
    stability: Stability
    flow: Stability
    critical: Threshold | None = None
    manifold: Manifold | None = None
    transverse: Stability | None = None

    @property
    def verdict(self) -> str:
        """That across the manifold of equilibria, if the point lies on one."""
        return str((self.transverse or self.stability).verdict)


def run(game: str, options: System, as_json: bool, out: Path | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    check_folder(out)
    found = _find(assemble(game, options))
    chosen = settings(game, options)
    if out is not None:
        # Only here, because it loads all results, and SciPy's statistics with them.
        from .._record import save

        save(found.stability, out, command="stability", settings=chosen)
    if as_json:
        show_json(_document(found, chosen))
    else:
        show(_text(found, chosen))
    return FAILED if found.verdict in ("undecided", "failed") else FINE


def _find(setup: Setup) -> Found:
    point = equilibrium(setup.flow, setup.guess)
    flow = stability(setup.flow, point.state)
    if setup.step is None:
        return Found(point, flow, flow, None, *_transverse(setup.flow, point.state, flow))
    state = setup.step.init(point.state)
    found = stability(setup.step, state)
    critical = critical_step(setup.step, state, throw=False)
    return Found(point, found, flow, critical, *_transverse(setup.step, state, found))


def _transverse(system: AbstractSystem, state: PyTree, found: Stability) -> tuple[Manifold | None, Stability | None]:
    """The manifold of equilibria through a point with zero modes and no clear verdict, and the stability across it."""
    eps = float(np.finfo(found.bound.dtype).eps)
    still = np.abs(np.asarray(found.exponents)) <= eps**0.5 * float(found.scale)
    if found.verdict in ("stable", "unstable") or not still.any():
        return None, None
    through = manifold(system, state)
    if not 0 < through.dimension < found.eigenvalues.shape[-1]:
        return through, None
    return through, stability(system, state, modulo=through)


def _document(found: Found, chosen: dict[str, Any]) -> dict[str, Any]:
    from .._json import plain
    from .._provenance import environment
    from .._record import as_json

    parts = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {
        "command": "stability",
        "settings": plain(chosen),
        "verdict": found.verdict,
        "zeta": plain(found.flow.zeta),
        "tau": plain(found.flow.tau),
        **{name: None if part is None else as_json(part) for name, part in parts.items()},
        "provenance": environment(),
    }


def _text(found: Found, chosen: dict[str, Any]) -> str:
    best, through = found.transverse or found.stability, found.manifold
    unit = "units of time" if found.stability is found.flow else "applications"
    lines = [
        f"system       {describe(chosen)}",
        f"equilibrium  {_tree.numbers(found.equilibrium.state)}  (residual {float(found.equilibrium.residual):.1g})",
        str(found.stability),
        f"kind         {found.stability.kind}",
        f"zeta         {float(found.flow.zeta):.10g}  (phase factor of the flow)",
        f"tau          {float(found.flow.tau):.10g}  (conditioning factor of the flow)",
    ]
    if found.critical is not None:
        crossings = str(found.critical) if found.critical.values.size else "none"
        lines += [f"critical h   {line}" for line in crossings.splitlines()]
    if through is not None:
        lines.append(f"zero modes   {through.kernel}, of which {through.dimension} lead along equilibria")
    if found.transverse is not None:
        lines += ["", "transverse to these equilibria", str(found.transverse)]
    if best.verdict == "stable":
        lines.append(f"six digits   {float(best.iterations(1e6)):.6g} {unit}")
    return "\n".join(lines)
