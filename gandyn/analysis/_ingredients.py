"""The numbers that theorems on GANs ask about: blocks of the Jacobian, discrepancies of laws, Hessians of what must vanish."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._results import RESULTS, worst
from .._system import AbstractFlow, AbstractGame, AbstractSystem, Players
from ..games._gan import AbstractGAN
from ..games._measure import AbstractMeasure
from ..objectives import AbstractObjective
from ._equilibrium import Manifold, manifold, null_vectors, solved_beside
from ._linear import damped_solve, jacobian

_FREQUENCIES, _DIRECTIONS = 128, 4
NEAR = 0.01
"""How far from the points to look whether a discriminator vanishes near the support, in units of the points' spread."""


class Blocks(NamedTuple):
    r"""Of a two-player game: its field and derivatives of it.

    The Jacobian, :math:`\nabla^2_G\lVert\nabla_D V\rVert^2`, and :math:`K_{GG}` beside
    :math:`K_{GD} + K_{DG}^\top`.
    """

    field: Float[Array, " n"]
    jacobian: Float[Array, "n n"]
    form: Float[Array, "g n"]
    curvature: Float[Array, "g g"]


class Laws(NamedTuple):
    r"""Of a GAN.

    `difference` is the difference of the characteristic functions of the two laws at fixed frequencies, its norm their
    discrepancy, and `moved` its derivative by the generator; `outputs` are those of the discriminator on the two supports,
    `near` those beside the data and its slopes there, in units of outputs; `flatness` is the
    Hessian of :math:`h(\psi) = \mathbb E_{\rm data}[D^2 + \lVert\nabla_x D\rVert^2]`, `pull` the derivative by the generator
    of :math:`\mathbb E_{p_\theta}\nabla_\psi D`; `rounding` and `size` are those of the terms that make up an output and the
    pull, which may cancel.
    """

    difference: Float[Array, " f"]
    moved: Float[Array, "f g"]
    outputs: Float[Array, " o"]
    near: Float[Array, " s"]
    flatness: Float[Array, "d d"]
    pull: Float[Array, "d g"]
    rounding: Scalar
    size: Scalar


class Probe(NamedTuple):
    """Where laws are compared and how far points are moved: numbers that stay the same under every quadrature."""

    frequencies: Float[Array, "f e"]
    directions: Float[Array, "k *e"]
    spread: Scalar


@eqx.filter_jit
def blocks_of(game: AbstractGame, x: Players) -> Blocks:
    """The blocks, by automatic differentiation."""
    (g, to_g), (d, to_d) = _tree.ravel(x.generator), _tree.ravel(x.discriminator)

    def squared(v: Array) -> Scalar:
        return jnp.sum(jax.grad(lambda w: game.losses(Players(to_g(v), to_d(w)))[1])(d) ** 2)

    matrix, n_g = jacobian(game, x), g.size
    form = matrix[:n_g].at[:, n_g:].add(matrix[n_g:, :n_g].T)
    return Blocks(_tree.ravel(game(x))[0], matrix, form, jax.hessian(squared)(g))


@eqx.filter_jit
def payoffs_of(objective: AbstractObjective, like: Array) -> Float[Array, " 4"]:
    """The first and second derivatives at zero of the payoffs on real and on generated data, by automatic differentiation."""
    zero = jnp.zeros((), like.dtype)
    first = [jax.grad(payoff) for payoff in (objective.real, objective.fake)]
    return jnp.stack([f(zero) for f in first] + [jax.grad(f)(zero) for f in first])


@eqx.filter_jit
def displaced(x: PyTree, here: Blocks) -> tuple[PyTree, PyTree]:
    """The states twice Newton's step away: on the far side of the equilibrium, and along weak directions only.

    In a weak direction the Jacobian is all but singular, so that the step may be noise: it is kept short.
    """
    vector, unravel = _tree.ravel(x)
    size = jnp.linalg.norm(here.jacobian)
    matrix, right = (part / jnp.where(size > 0, size, 1.0) for part in (here.jacobian, here.field))
    eps = _tree.eps(x)
    strong = damped_solve(matrix, right, jnp.asarray(eps, matrix.dtype))
    weak = damped_solve(matrix, right - matrix @ strong, jnp.asarray(eps**2, matrix.dtype))
    reach = 0.01 * (1 + jnp.linalg.norm(vector))
    weak = weak * jnp.minimum(1.0, reach / (jnp.linalg.norm(weak) + jnp.finfo(matrix.dtype).tiny))
    return unravel(vector - 2 * strong), unravel(vector - 2 * weak)


def probe(gan: AbstractGAN, x: Players) -> Probe:
    """Fixed random frequencies and directions, in units of the median distance between points of the two laws."""
    ends, others = (np.asarray(points, float) for points in _points(gan, x))
    rng, event = np.random.default_rng(0), ends.shape[1:]
    both = np.concatenate([ends, others]).reshape(len(ends) + len(others), -1)
    chosen = both[rng.permutation(len(both))[:400]]
    distances = np.linalg.norm(chosen[:, None] - chosen[None], axis=2)
    apart = distances[distances > 1e-6 * (1 + np.abs(chosen).max())]
    spread = float(np.median(apart)) if apart.size else 1.0
    frequencies = rng.normal(size=(_FREQUENCIES, both.shape[1])) / spread
    directions = rng.normal(size=(_DIRECTIONS, *event))
    directions /= np.sqrt(np.sum(directions**2, axis=tuple(range(1, directions.ndim)), keepdims=True))
    kind = gan.real.points.dtype
    return Probe(*(jnp.asarray(value, kind) for value in (frequencies, directions, spread)))


@eqx.filter_jit
def _points(gan: AbstractGAN, x: Players) -> tuple[Array, Array]:
    return gan.data.points, gan.samples(x).points


def _characteristic(law: AbstractMeasure, frequencies: Float[Array, "f e"]) -> Float[Array, " f2"]:
    """Real and imaginary part of the characteristic function; their mean square is a Gaussian kernel's, sampled."""
    angles = law.points.reshape(law.points.shape[0], -1) @ frequencies.T
    parts = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return law.weights @ parts / np.sqrt(frequencies.shape[0])


def _difference(gan: AbstractGAN, x: Players, frequencies: Float[Array, "f e"]) -> Float[Array, " f2"]:
    return _characteristic(gan.samples(x), frequencies) - _characteristic(gan.data, frequencies)


def _flat(gan: AbstractGAN, discriminator: PyTree) -> Scalar:
    r""":math:`h(\psi)`."""

    def one(point: Array) -> Scalar:
        value, slope = jax.value_and_grad(lambda p: gan.discriminator(discriminator, p))(point)
        return value**2 + jnp.sum(slope**2)

    return gan.data.expectation(one)


@eqx.filter_jit
def laws_of(gan: AbstractGAN, x: Players, at: Probe) -> Laws:
    """The numbers of a GAN's laws and discriminator, by automatic differentiation."""
    (g, to_g), (d, to_d) = _tree.ravel(x.generator), _tree.ravel(x.discriminator)

    def generated(v: Array) -> Players:
        return Players(to_g(v), x.discriminator)

    def output(w: Array, point: Array) -> Scalar:
        return gan.discriminator(to_d(w), point)

    def gradients_at(v: Array) -> Array:
        return jax.vmap(jax.grad(output), (None, 0))(d, gan.samples(generated(v)).points)

    law, data = gan.samples(x), gan.data.points
    samples, signs = law.points, np.random.default_rng(0).choice([-1.0, 1.0], law.weights.shape)
    # With random signs the terms of the sum no longer cancel.
    weights = jnp.stack([law.weights, law.weights * jnp.asarray(signs, law.weights.dtype)])
    pull, mixed = jax.jacfwd(lambda v: weights @ gradients_at(v))(g)
    both = jnp.concatenate([data, samples])
    outputs, gradients = jax.vmap(lambda p: (output(d, p), jax.grad(output)(d, p)))(both)
    slopes = at.spread * jax.vmap(jax.grad(output, argnums=1), (None, 0))(d, data)
    beside = jax.vmap(jax.vmap(lambda p, u: output(d, p + NEAR * at.spread * u), (None, 0)), (0, None))(data, at.directions)
    return Laws(
        difference=_difference(gan, x, at.frequencies),
        moved=jax.jacfwd(lambda v: _difference(gan, generated(v), at.frequencies))(g),
        outputs=outputs,
        near=jnp.concatenate([outputs, beside.reshape(-1), slopes.reshape(-1)]),
        flatness=jax.hessian(lambda w: _flat(gan, to_d(w)))(d),
        pull=pull,
        rounding=jnp.max(jnp.abs(gradients) @ jnp.abs(d)),
        size=jnp.linalg.norm(mixed),
    )


class _Descent(AbstractFlow):
    """A flow of one player of a GAN: its states are none of the GAN's, whom the reason of a failure is not asked of."""

    def failure(self, x: PyTree) -> RESULTS:
        return worst((~_tree.finite(self(x)), RESULTS.nonfinite))


class Vanishing(_Descent):
    """The descent of h: it rests at the discriminators that vanish on the data, together with their slope."""

    gan: AbstractGAN

    def __call__(self, x: PyTree) -> PyTree:
        return jax.tree.map(jnp.negative, jax.grad(lambda y: _flat(self.gan, y))(x))


class Matching(_Descent):
    """The descent of the squared discrepancy of the laws: it rests at the generators that produce the data's law."""

    gan: AbstractGAN
    frequencies: Float[Array, "f e"]

    def __call__(self, x: PyTree) -> PyTree:
        def squared(generator: PyTree) -> Scalar:
            return jnp.sum(_difference(self.gan, Players(generator, None), self.frequencies) ** 2)

        return jax.tree.map(jnp.negative, jax.grad(squared)(x))


class Zeros(NamedTuple):
    """The manifold of a system's zeros through one of them, and whether there are certainly no more directions of zeros."""

    manifold: Manifold
    certain: bool


def zeros(system: AbstractSystem, x: PyTree) -> Zeros:
    """The zeros beside a zero.

    That there are no more is certain where no null vector is to spare, and where Newton's method falls back from all around
    in the span of those that are.
    """
    found = manifold(system, x)
    spare_count = found.kernel - found.dimension
    if spare_count == 0:
        return Zeros(found, True)
    null, tangent = null_vectors(system, x), np.asarray(found.tangent)
    spare = np.linalg.svd(null - tangent @ (tangent.T @ null), full_matrices=False)[0][:, :spare_count]
    length = 0.01 * (1 + float(_tree.norm(x)))
    # As many as in `manifold`, so that nothing is compiled again.
    back, moved = solved_beside(system, x, spare, 2 * found.kernel + 2, length, seed=1)
    fallen = np.linalg.norm(moved @ spare, axis=1) < length / 10
    return Zeros(found, bool(np.all(fallen & np.asarray(back.result == RESULTS.successful))))
