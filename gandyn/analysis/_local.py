"""What is critical at a bifurcation of an equilibrium or of a fixed point: the eigenvalue and the normal form's coefficient."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._linear import jacobian
from ._normal_form import form_of_mode


class Local(NamedTuple):
    """The critical eigenvalue of a bifurcation, its coefficient (NaN if there is none), and its character."""

    eigenvalue: Array
    coefficient: Array
    character: str


def local(system: AbstractSystem, x: PyTree, kind: str, exact: float) -> Local | None:
    """What is critical where a test function of a kind vanishes, up to `exact`; nothing if no eigenvalue is."""
    matrix = np.asarray(eqx.filter_jit(jacobian)(system, x))
    values, vectors = np.linalg.eig(matrix)
    discrete, exact = isinstance(system, AbstractMap), exact * (1 + np.abs(values).max())
    value = critical(values, kind, discrete)
    if kind == "fold":
        return Local(jnp.asarray(value), _reduced(system, x)[0], "")
    alone = np.sum(np.abs(values - value) <= exact) == 1
    if kind == "branch point":
        return Local(jnp.asarray(value), *(_crossing(system, x, exact) if alone else (jnp.asarray(jnp.nan), "")))
    off = abs(abs(value) - 1) if discrete else abs(value.real)
    # Where the eigenvalues of a pair are real the test function vanishes too, at a neutral saddle.
    if kind != "flip" and not (off <= exact and abs(value.imag) > exact):
        return None
    if not alone:
        # Several modes cross together, whose form is not that of one.
        return Local(jnp.asarray(value), jnp.asarray(jnp.nan), "")
    mode = vectors[:, np.argmin(np.abs(values - value))]
    try:
        form = form_of_mode(system, x, matrix, complex(value.real) if kind == "flip" else value, mode)
    except ValueError:
        return Local(jnp.asarray(value), jnp.asarray(jnp.nan), "")
    return Local(jnp.asarray(value), form.coefficient.real, form.character)


def critical(values: np.ndarray, kind: str, discrete: bool) -> complex:
    """The eigenvalue that makes a bifurcation of this kind: of a conjugate pair the upper one."""
    if kind in ("Hopf", "Neimark-Sacker"):
        rotating = values[np.imag(values) > 0]
        off = np.abs(np.abs(rotating) - 1) if discrete else np.abs(np.real(rotating))
        return complex(rotating[np.argmin(off)]) if rotating.size else complex(np.nan)
    target = -1.0 if kind == "flip" else float(discrete)
    return complex(values[np.argmin(np.abs(values - target))])


@eqx.filter_jit
def _reduced(system: AbstractSystem, x: PyTree) -> tuple[Array, Array]:
    r"""The coefficients of :math:`z^2` and :math:`z^3` for the amplitude of the mode whose eigenvalue vanishes.

    With :math:`Jv = 0`, v of unit length and its largest part positive, :math:`w^\top J = 0`, :math:`w^\top v = 1` and
    :math:`Jh = -(1 - vw^\top) D^2F(v, v)` they are :math:`w^\top D^2F(v, v)/2` and
    :math:`w^\top (D^3F(v, v, v)/6 + D^2F(v, h)/2)` (Kuznetsov, 2004, section 5.4).
    """
    vector, unravel = _tree.ravel(x)

    def residual(v: Array) -> Array:
        return _tree.ravel(system.residual(unravel(v)))[0]

    def along(fn: Callable, direction: Array) -> Callable:
        return lambda v: jax.jvp(fn, (v,), (direction,))[1]

    matrix = jax.jacfwd(residual)(vector)
    u, _, rows = jnp.linalg.svd(matrix)
    right = rows[-1] * jnp.sign(rows[-1][jnp.argmax(jnp.abs(rows[-1]))])
    left = u[:, -1] / (u[:, -1] @ right)
    first = along(residual, right)
    square = along(first, right)(vector)
    rest = square - (left @ square) * right
    # What of it the vanishing eigenvalue would take is none of the range.
    h = -jnp.linalg.lstsq(matrix, rest, rcond=_tree.eps(x) ** 0.5)[0]
    h = h - (left @ h) * right
    cube = along(along(first, right), right)(vector)
    return left @ square / 2, left @ (cube / 6 + along(first, h)(vector) / 2)


def _crossing(system: AbstractSystem, x: PyTree, exact: float) -> tuple[Array, str]:
    """The coefficient of a branch point, and what it makes it."""
    quadratic, cubic = _reduced(system, x)
    if abs(float(quadratic)) > exact * (1 + abs(float(cubic))):
        return quadratic, "transcritical"
    size = float(cubic)
    return cubic, "degenerate" if abs(size) <= exact else "supercritical" if size < 0 else "subcritical"
