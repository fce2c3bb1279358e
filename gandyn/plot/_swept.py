"""What pictures take from a sweep: its verdicts and spectra, as many cells as can be told apart."""

from typing import TYPE_CHECKING

import lazy_loader

from ..analysis._sweep import StoredSweep, Sweep

if TYPE_CHECKING:
    import xarray
else:
    xarray = lazy_loader.load("xarray")

# Cells along an axis: a page's width at three hundred dots an inch has no more than twice as many.
_SHOWN = 1024


def thinned(found: "xarray.Dataset", most: int) -> "xarray.Dataset":
    """Every so many-th value of each axis, so that there are at most `most`."""
    return found.isel({name: slice(None, None, -(-found.sizes[name] // most)) for name in found.dims if name in found.coords})


def stabilities(sweep: "Sweep | StoredSweep | xarray.Dataset") -> "xarray.Dataset":
    """The variables of the one `Stability` in each cell of a sweep, thinned and by their own names.

    Raises:
        ValueError: The sweep holds none, or several.
    """
    found = sweep if isinstance(sweep, xarray.Dataset) else sweep.to_xarray()
    stems = [name.removesuffix("verdict") for name in map(str, found) if name == "verdict" or name.endswith(".verdict")]
    if len(stems) != 1:
        raise ValueError(
            f"This picture draws a sweep whose values hold one Stability; they are {list(map(str, found))}. Let the swept "
            "function return gd.stability(system, state, throw=False)."
        )
    names = {f"{stems[0]}{name}": name for name in ("verdict", "growth", "eigenvalues", "exponents")}
    return thinned(found[list(names)], _SHOWN).rename(names)
