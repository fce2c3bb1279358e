"""Normal forms of oscillations: what the leading nonlinear term does to the amplitude of an oscillating mode."""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._system import AbstractMap, AbstractSystem
from ._linear import jacobian
from ._memory import point_rows, settled


class NormalForm(eqx.Module):
    r"""The amplitude equation of an oscillating mode, :math:`\dot r = ({\rm Re}\,\lambda)\,r + ({\rm Re}\,c)\,r^3`.

    r is the distance to the equilibrium of the system's point, as the root of the mean square over a turn. `exponent` is
    :math:`\lambda` per unit time, of a map :math:`\log\mu` per application; `coefficient` is c, whose real part is the first
    Lyapunov coefficient in these units: negative where the nonlinearity draws inwards. At the bifurcation the form is exact to
    third order; near one it is so up to terms of the size of the growth. `bifurcation` is the one at which the mode's growth
    is zero: `Hopf` of a flow, `Neimark-Sacker` or `flip` of a map.

    `error` is the size of the rounding in `coefficient`.
    """

    exponent: Complex[Array, ""]
    coefficient: Complex[Array, ""]
    error: Scalar
    bifurcation: str = eqx.field(static=True, default="Hopf")

    @property
    def slope(self) -> Scalar:
        r"""The slope of :math:`1/r^2` where the growth is zero, :math:`-2\,{\rm Re}\,c`; positive for algebraic decay."""
        slope = -2 * self.coefficient.real
        return jnp.where(jnp.abs(self.coefficient.real) <= self.error, 0.0, slope)

    @property
    def radius(self) -> Scalar:
        r"""The radius :math:`\sqrt{-{\rm Re}\,\lambda/{\rm Re}\,c}` of the small cycle or invariant circle; NaN if none."""
        square = -self.exponent.real / self.coefficient.real
        there = (square > 0) & (self.slope != 0)
        return jnp.where(there, jnp.sqrt(jnp.where(there, square, 1.0)), jnp.nan)

    @property
    def character(self) -> str:
        """`supercritical` where what branches off attracts, `subcritical` where it repels, `degenerate` to third order."""
        return {-1: "subcritical", 0: "degenerate", 1: "supercritical"}[int(jnp.sign(self.slope))]

    def __str__(self) -> str:
        effect = {-1: "pushes outwards", 0: "has no effect to third order", 1: "draws inwards"}[int(jnp.sign(self.slope))]
        return (
            f"growth       {float(self.exponent.real):.10g}\n"
            f"rotation     {abs(float(self.exponent.imag)):.10g}\n"
            f"coefficient  {complex(self.coefficient):.10g}  (error {float(self.error):.1g})\n"
            f"nonlinearity {effect}: {self.character} {self.bifurcation}\n"
            f"small cycle  {f'of radius {float(self.radius):.10g}' if np.isfinite(float(self.radius)) else 'none'}"
        )


def _derivatives(system: AbstractSystem, x: PyTree) -> Callable:
    """The derivative of as many orders as it is given complex vectors, as a multilinear function of them."""
    vector, unravel = _tree.ravel(x)

    def along(fn: Callable, direction: Array) -> Callable:
        return lambda v: jax.jvp(fn, (v,), (direction,))[1]

    def multilinear(*vectors: Array) -> Array:
        # All combinations of real and imaginary parts in one batch, so that the derivative is compiled once.
        def real(*directions: Array) -> Array:
            fn: Callable = lambda v: _tree.ravel(system(unravel(v)))[0]
            for direction in directions:
                fn = along(fn, direction)
            return fn(vector)

        choices = list(itertools.product((0, 1), repeat=len(vectors)))
        both = [(u.real.astype(vector.dtype), u.imag.astype(vector.dtype)) for u in vectors]
        parts = [jnp.stack([u[choice[i]] for choice in choices]) for i, u in enumerate(both)]
        factors = jnp.asarray([1j ** sum(choice) for choice in choices])
        return factors @ jax.vmap(real)(*parts)

    return multilinear


@eqx.filter_jit
def cubic_coefficient(
    system: AbstractSystem, x: PyTree, matrix: Array, value: Array, right: Array, left: Array
) -> tuple[Array, Array]:
    r"""The cubic coefficient in the mode's own coordinate z, as a change of :math:`\log z`, and the sum of its terms' sizes.

    Kuznetsov (2004), equations (5.62) for flows and (5.66) for maps, with the multipliers of the quadratic terms kept off
    the unit circle or the imaginary axis, so that it also holds beside the bifurcation.
    """
    derivative = _derivatives(system, x)
    eye = jnp.eye(matrix.shape[0], dtype=value.dtype)
    discrete = isinstance(system, AbstractMap)
    mean, double = (jnp.abs(value) ** 2, value**2) if discrete else (2 * value.real, 2 * value)
    both, conjugate = jax.vmap(derivative), right.conj()
    mixed, square = both(jnp.stack([right, right]), jnp.stack([conjugate, right]))
    offset, harmonic = jnp.linalg.solve(mean * eye - matrix, mixed), jnp.linalg.solve(double * eye - matrix, square)
    mixed, square = both(jnp.stack([right, conjugate]), jnp.stack([offset, harmonic]))
    terms = jnp.stack([derivative(right, right, conjugate) / 2, mixed, square / 2])
    projected = terms @ left.conj()
    scale = value if discrete else 1.0
    return jnp.sum(projected) / scale, jnp.sum(jnp.abs(terms) @ jnp.abs(left)) / jnp.abs(scale)


def normal_form(system: AbstractSystem, x: PyTree) -> NormalForm:
    r"""The normal form of the leading oscillating mode at an equilibrium, by automatic differentiation.

    At a centre of the linearisation (a Hopf point of a flow, a Neimark–Sacker point of a map) the sign of the cubic
    coefficient decides between algebraic decay :math:`r \sim (2|{\rm Re}\,c|\,t)^{-1/2}`, escape, and a centre to third
    order. Beside such a point it gives the radius of the small cycle, or of the invariant circle of a map. A mode of a map
    that changes sign at every application has a form of the same kind, with an orbit of period two beside a flip
    (Kuznetsov, 2004).

    Args:
        system: A flow or a map.
        x: An equilibrium of it; for a map with memory a state of the map.

    Returns:
        A `NormalForm`.

    Raises:
        ValueError: The leading mode does not oscillate or is one of several, it does not show in the point, or a strong
            resonance (a multiplier with :math:`\mu^3 = 1` or :math:`\mu^4 = 1`) makes the normal form another one.
    """
    system, x = prepare(system, x)
    discrete = isinstance(system, AbstractMap)
    x = settled(system, x)
    matrix = np.asarray(eqx.filter_jit(jacobian)(system, x))
    values, vectors = np.linalg.eig(matrix)
    growth = np.log(np.maximum(np.abs(values), 1e-300)) if discrete else np.real(values)
    eps = _tree.eps(x)
    near = eps**0.5 * max(float(np.abs(values).max()), float(np.linalg.norm(matrix)) / len(matrix))
    top = int(np.argmax(growth + eps**0.5 * near * (np.imag(values) > 0)))
    flip = discrete and abs(values[top].imag) <= near and values[top].real < 0
    if (abs(values[top].imag) <= near and not flip) or np.sum(np.abs(growth - growth[top]) <= near) != (1 if flip else 2):
        raise ValueError(
            "normal_form: the leading mode does not rotate, or several modes lead together; the eigenvalues are "
            f"{np.array2string(values[np.argsort(-growth)][:6], precision=6)}. The form is that of one complex pair, or of one "
            "negative multiplier of a map."
        )
    return form_of_mode(system, x, matrix, complex(values[top].real) if flip else values[top], vectors[:, top])


def form_of_mode(system: AbstractSystem, x: PyTree, matrix: np.ndarray, value: complex, vector: np.ndarray) -> NormalForm:
    """The normal form of one oscillating mode, whatever the others do, from its eigenvalue, real at a flip, and eigenvector.

    Raises:
        ValueError: A strong resonance, or a mode that does not show in the point.
    """
    discrete, eps = isinstance(system, AbstractMap), _tree.eps(x)
    flip = value.imag == 0
    value, right = (value, vector) if value.imag >= 0 else (value.conjugate(), vector.conj())
    if flip:
        value, right = complex(value.real), np.real(right).astype(complex)
    else:
        _check_resonance(value, discrete, eps)
    rows, conjugates = np.linalg.eig(matrix.T)
    left = conjugates[:, np.argmin(np.abs(rows - np.conj(value)))]
    left = left / np.vdot(left, right).conj()
    cubic, size = cubic_coefficient(system, x, *map(jnp.asarray, (matrix, value, right, left)))
    shown = float(np.linalg.norm(np.asarray(eqx.filter_jit(point_rows)(system, x)) @ right))
    if shown <= eps**0.5 * np.linalg.norm(right):
        raise ValueError("normal_form: the leading mode lives in the map's memory alone and does not move its point.")
    # r^2 = 2 |z|^2 |q|^2, the mean over a turn of the point's square distance. Of a flip r^2 = z^2 |q|^2, and z stands in for
    # its conjugate, so that the cubic term comes three times.
    unit = (3 if flip else 2) * shown**2
    exponent = np.log(value) if discrete else value
    backward = 4 * len(matrix) * eps * np.linalg.norm(matrix) / (abs(value) if discrete else 1)
    exponent = complex(0.0 if abs(exponent.real) <= backward else exponent.real, exponent.imag)
    rounding = len(matrix) * 100 * eps * size / unit
    name = "flip" if flip else "Neimark-Sacker" if discrete else "Hopf"
    return NormalForm(jnp.asarray(exponent), cubic / unit, jnp.asarray(rounding), name)


def _check_resonance(value: complex, discrete: bool, eps: float) -> None:
    strong = [k for k in (3, 4) if discrete and abs((value / abs(value)) ** k - 1) <= eps**0.25]
    if strong:
        raise ValueError(f"normal_form: the multiplier {value:.6g} is a root of unity of order {strong[0]}.")
