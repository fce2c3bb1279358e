"""What eigenvalues do not tell: transient growth, pseudospectra and the distance to instability."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Complex, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, worst
from .._system import AbstractMap, AbstractSystem
from ._linear import eigenvalues, jacobian, smallest_singular_value


class Transient(eqx.Module):
    r"""Non-normal behaviour of the linearisation A at an equilibrium.

    `ts` and `gain`: the largest factor :math:`\lVert e^{tA}\rVert` (of a map :math:`\lVert A^t\rVert`) by which a
    perturbation has grown at each time. `abscissa`: its initial growth, the numerical abscissa of a flow, the logarithm of
    the norm of a map. `distance`: the norm of the smallest complex change of A that makes it unstable; zero if it is.
    `departure`: the departure from normality, :math:`\sqrt{\lVert A\rVert_F^2 - \sum|\lambda|^2}`. `grid` and `resolvent`:
    points of the complex plane and the smallest singular value of :math:`A - z`, whose level sets bound the pseudospectra.
    `discrete`: whether A is that of a map.
    """

    ts: Float[Array, " t"]
    gain: Float[Array, " t"]
    abscissa: Scalar
    distance: Scalar
    departure: Scalar
    eigenvalues: Complex[Array, " n"]
    grid: Complex[Array, "r c"]
    resolvent: Float[Array, "r c"]
    result: RESULTS
    discrete: bool = eqx.field(static=True)

    @property
    def peak(self) -> Scalar:
        """The largest gain at the times looked at."""
        return jnp.max(self.gain)

    def __str__(self) -> str:
        return (
            f"peak gain    {float(self.peak):.6g} after {float(self.ts[jnp.argmax(self.gain)]):.6g} "
            f"{'applications' if self.discrete else 'units of time'}\n"
            f"abscissa     {float(self.abscissa):.6g}\n"
            f"distance     {float(self.distance):.6g} to instability\n"
            f"departure    {float(self.departure):.6g} from normality"
        )


def _level_points(matrix: np.ndarray, level: float, discrete: bool) -> np.ndarray:
    """Angles (of a map) or frequencies (of a flow) on the boundary of stability where a singular value equals `level`."""
    n = matrix.shape[0]
    eye = np.eye(n)
    tolerance = 1e-7
    if not discrete:
        hamiltonian = np.block([[matrix, -level * eye], [level * eye, -matrix.T]])
        values = np.linalg.eigvals(hamiltonian)
        return np.sort(np.imag(values)[np.abs(np.real(values)) <= tolerance * (1 + np.abs(values))])
    left = np.block([[matrix, -level * eye], [np.zeros((n, n)), eye]])
    right = np.block([[eye, np.zeros((n, n))], [-level * eye, matrix.T]])
    values = scipy.linalg.eigvals(left, right)
    values = values[np.isfinite(values)]
    return np.sort(np.angle(values[np.abs(np.abs(values) - 1) <= tolerance]))


def _distance(matrix: np.ndarray, values: np.ndarray, discrete: bool) -> float:
    """The distance to instability by the level-set iteration of Boyd and Balakrishnan (1990)."""

    def singular(point: float) -> float:
        z = np.exp(1j * point) if discrete else 1j * point
        return float(np.linalg.svd(matrix - z * np.eye(matrix.shape[0]), compute_uv=False)[-1])

    inside = np.abs(values) < 1 if discrete else np.real(values) < 0
    if not inside.all():
        return 0.0
    starts = np.angle(values) if discrete else np.imag(values)
    best = min(singular(point) for point in [*starts, 0.0])
    for _ in range(50):
        points = _level_points(matrix, best * (1 - 1e-10), discrete)
        if points.size < 2:
            return best
        ends = np.append(points, points[0] + 2 * np.pi) if discrete else points
        lower = min(singular(point) for point in (ends[1:] + ends[:-1]) / 2)
        if lower >= best * (1 - 1e-10):
            return best
        best = lower
    return best


@eqx.filter_jit
def _gain(matrix: Array, ts: Array, discrete: bool) -> Array:
    def flow(t: Array) -> Array:
        return jnp.linalg.norm(jax.scipy.linalg.expm(t * matrix), 2)

    def power(product: Array, _: None) -> tuple[Array, Array]:
        return product @ matrix, jnp.linalg.norm(product, 2)

    if discrete:
        return jax.lax.scan(power, jnp.eye(matrix.shape[0], dtype=matrix.dtype), length=ts.size)[1]
    return jax.vmap(flow)(ts)


@eqx.filter_jit
def _resolvent(matrix: Array, grid: Array) -> Array:
    eye = jnp.eye(matrix.shape[0], dtype=grid.dtype)
    return jax.lax.map(jax.vmap(lambda z: smallest_singular_value(matrix - z * eye)), grid)


def _window(values: np.ndarray, size: float, points: int) -> np.ndarray:
    margin = 0.5 * size + 1e-12
    real = np.linspace(np.real(values).min() - margin, np.real(values).max() + margin, points)
    imaginary = np.linspace(np.imag(values).min() - margin, np.imag(values).max() + margin, points)
    return real[None, :] + 1j * imaginary[:, None]


def transient(
    system: AbstractSystem, x: PyTree, horizon: float | None = None, *, points: int = 101, throw: bool = True
) -> Transient:
    r"""Transient growth, pseudospectra and distance to instability at an equilibrium (Trefethen and Embree, 2005).

    Args:
        system: A flow or a map.
        x: An equilibrium of it.
        horizon: How long to follow perturbations: a time, or a number of applications of a map; by default five times
            the slowest time scale of the spectrum, and of a map one for each dimension at least.
        points: Times, and points of the complex plane along each axis.
        throw: Raise if the Jacobian is not finite.

    Returns:
        A `Transient`.

    Raises:
        RuntimeError: The Jacobian is not finite (with `throw`).
    """
    system, x = prepare(system, x)
    discrete = isinstance(system, AbstractMap)
    matrix = eqx.filter_jit(jacobian)(system, x)
    result = worst((~jnp.all(jnp.isfinite(matrix)), RESULTS.nonfinite))
    check(result, throw, "transient: ")
    known = jnp.where(jnp.all(jnp.isfinite(matrix)), 1.0, jnp.nan).astype(matrix.dtype)
    matrix = jnp.where(jnp.isfinite(matrix), matrix, 0.0)
    values = np.asarray(eigenvalues(matrix))
    dense = np.asarray(matrix)
    growths = np.log(np.maximum(np.abs(values), 1e-300)) if discrete else np.real(values)
    slowest = np.min(np.abs(growths[np.abs(growths) > 1e-12]), initial=np.inf)
    end = horizon or max(5 / slowest if np.isfinite(slowest) else 10.0, float(values.size) if discrete else 0.0)
    ts = jnp.arange(max(2, min(int(end), 10_000)) + 1.0) if discrete else jnp.linspace(0.0, end, points)
    size = float(np.linalg.norm(dense, 2))
    start = np.log(max(size, 1e-300)) if discrete else np.linalg.eigvalsh((dense + dense.T) / 2)[-1]
    departure = np.linalg.norm(np.triu(scipy.linalg.schur(dense, output="complex")[0], 1))
    grid = jnp.asarray(_window(values, size, points))
    return Transient(
        ts=ts,
        gain=known * _gain(matrix, ts, discrete),
        abscissa=known * _tree.real(start),
        distance=known * _tree.real(_distance(dense, values, discrete)),
        departure=known * _tree.real(departure),
        eigenvalues=known * jnp.asarray(values),
        grid=grid,
        resolvent=known * _resolvent(matrix, grid),
        result=result,
        discrete=discrete,
    )
