"""What is critical at a bifurcation of an equilibrium or of a fixed point: the eigenvalue and the normal form's coefficient."""

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
        return Local(jnp.asarray(value), _fold_coefficient(system, x), "")
    if kind == "branch point":
        return Local(jnp.asarray(value), jnp.asarray(jnp.nan), "")
    off = abs(abs(value) - 1) if discrete else abs(value.real)
    # Where the eigenvalues of a pair are real the test function vanishes too, at a neutral saddle.
    if kind != "flip" and not (off <= exact and abs(value.imag) > exact):
        return None
    near = np.abs(values - value)
    if np.sum(near <= exact) > 1:
        # Several modes cross together, whose form is not that of one.
        return Local(jnp.asarray(value), jnp.asarray(jnp.nan), "")
    mode = vectors[:, np.argmin(near)]
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
def _fold_coefficient(system: AbstractSystem, x: PyTree) -> Array:
    vector, unravel = _tree.ravel(x)

    def residual(v: Array) -> Array:
        return _tree.ravel(system.residual(unravel(v)))[0]

    u, _, vh = jnp.linalg.svd(jax.jacfwd(residual)(vector))
    left, right = u[:, -1], vh[-1]
    curvature = jax.jvp(lambda v: jax.jvp(residual, (v,), (right,))[1], (vector,), (right,))[1]
    return left @ curvature / (2 * (left @ right))
