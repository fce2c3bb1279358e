"""Where a run has come to, in words."""

import numpy as np

from .._results import RESULTS, message
from ..analysis._eigenpairs import Eigenpairs
from ..analysis._endpoint import EndPoint
from ._page import number

_SHOWN = 4


def _pairs(pairs: Eigenpairs) -> str:
    """The first eigenvalues that were found, each with its error."""
    found = [(z, e) for z, e in zip(np.asarray(pairs.values), np.asarray(pairs.errors), strict=True) if np.isfinite(z)]
    return ", ".join(f"{number(z, 4)} (± {e:.1g})" for z, e in found[:_SHOWN]) or "none found"


def _growth(end: EndPoint) -> str:
    lead, error = float(np.real(end.flow.values[0])), float(end.flow.errors[0])
    if lead > error:
        return "the first grows, beyond its error"
    if lead < -error:
        return "all that were found decay, which is no proof that others do"
    return "whether the first grows or decays is within its error"


def _step(end: EndPoint) -> str:
    used, critical = float(end.time), float(end.critical_step)
    bound = f"simultaneous gradient descent keeps what decays in the flow up to a step size of at most {critical:.4g}"
    if critical == 0:
        bound = "no step size of simultaneous gradient descent is stable, since a mode does not decay in the flow"
    same = f"in use is {used:.4g}" if np.isfinite(used) else "the method in use rescales its steps, and none compares with it"
    return f"{bound}; {same}"


def _polar(z: complex) -> str:
    return f"{number(z, 6)}, of modulus {abs(z):.6g} and argument {np.angle(z):.4g}"


def _multiplier(end: EndPoint) -> str:
    followed = complex(end.multiplier)
    predicted = f"predicted {_polar(complex(end.map.values[0]))} (± {float(end.map.errors[0]):.1g})"
    if not np.isfinite(followed):
        return f"{predicted}; a displacement along its eigenvector does not stay finite, and cannot be followed"
    return f"{predicted}; followed, a displacement along its eigenvector gives {_polar(followed)}"


def described(end: EndPoint) -> dict[str, str]:
    """What an end point says, one sentence for each question."""
    rest = "cannot be told from zero: at rest within the noise" if end.at_rest else "is not zero: still moving"
    clear = f"its square is {float(end.clear):.3g} standard errors from zero"
    said = {
        "gradient against noise": f"the mean field has the norm {float(end.gradient):.4g}, a mini-batch the noise "
        f"{float(end.noise):.4g}; the mean {rest} ({clear})"
    }
    if end.result != RESULTS.successful:
        return said | {"spectrum": message(end.result)}
    return said | {
        "rightmost eigenvalues of the flow": f"{_pairs(end.flow)}; {_growth(end)}",
        "largest eigenvalues of the flow": _pairs(end.stiff),
        "zero modes": f"{end.zero_modes} of the {int(np.isfinite(end.flow.values).sum())} found are zero within their error",
        "multiplier of the map": _multiplier(end),
        "step size": _step(end),
    }
