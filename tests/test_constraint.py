import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd


def weights(x):
    return x["w"]


STATES = [{"w": jnp.asarray(np.random.default_rng(seed).normal(size=(3, 2)) * 2), "b": jnp.ones(2)} for seed in range(4)]
CONSTRAINTS = {
    "box": gd.Box(-1.0, 1.0, weights),
    "ball": gd.Ball(1.5, weights),
    "spectral": gd.SpectralBall(1.2, weights),
}


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("x", STATES)
def test_the_projection_is_idempotent_inside_and_nearest(constraint, x):
    y = constraint.project(x)
    np.testing.assert_allclose(constraint.project(y)["w"], y["w"], atol=1e-14)
    assert np.all(constraint.margins(y) >= -1e-14)
    np.testing.assert_array_equal(y["b"], x["b"])
    # Kolmogorov's criterion: (x - Px, z - Px) <= 0 for every z of the set.
    others = [
        constraint.project({"w": jnp.asarray(np.random.default_rng(s).normal(size=(3, 2))), "b": x["b"]}) for s in range(20)
    ]
    assert all(np.sum((x["w"] - y["w"]) * (z["w"] - y["w"])) <= 1e-12 for z in others)


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("x", STATES)
def test_the_tangent_velocity_is_the_derivative_of_projected_steps(constraint, x):
    y = constraint.project({**x, "w": 3 * x["w"]})
    velocity = {"w": jnp.asarray(np.random.default_rng(9).normal(size=(3, 2))), "b": jnp.zeros(2)}
    h = 1e-6
    step = constraint.project(jax.tree.map(lambda u, v: u + h * v, y, velocity))
    # The projection is twice differentiable along its faces: the error is of first order in the step.
    np.testing.assert_allclose((step["w"] - y["w"]) / h, constraint.tangent(y, velocity)["w"], atol=2e-5)


def test_inside_nothing_is_changed():
    x = {"w": 0.1 * jnp.eye(3)[:, :2], "b": jnp.ones(2)}
    for constraint in CONSTRAINTS.values():
        np.testing.assert_allclose(constraint.project(x)["w"], x["w"], atol=1e-16)
        np.testing.assert_allclose(constraint.tangent(x, x)["w"], x["w"], atol=1e-16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Box(1.0, -1.0), "low must lie below high"),
        (lambda: gd.Ball(0.0), "radius must be positive"),
        (lambda: gd.SpectralBall(-1.0), "radius must be positive"),
    ],
)
def test_bad_constraints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_spectrum_on_the_boundary_is_refused():
    flow = gd.Constrained(gd.games.dirac(), gd.Box(0.0, 1.0, lambda x: x.discriminator))
    with pytest.raises(RuntimeError, match="not smooth"):
        gd.stability(flow, gd.Players(0.0, 0.0))


def same(key, step):
    return step


def test_weights_are_clipped_after_every_move():
    h, c, wgan = 0.2, 0.7, gd.games.dirac(gd.objectives.wasserstein)
    turns = gd.Optax(wgan, optax.sgd, order=("discriminator",) * 3 + ("generator",), learning_rate=h)
    steps = gd.AltGD(wgan, h, order=("discriminator", "generator"), steps=(3, 1))
    start, (theta, psi) = gd.Players(1.0, 0.5), (1.0, 0.5)
    for _ in range(20):
        for _ in range(3):
            psi = np.clip(psi - h * theta, -c, c)
        theta += h * psi
    for step, where in ((turns, lambda s: s.point.discriminator), (steps, lambda s: s.discriminator)):
        clipped = gd.Projected(step, gd.Box(-c, c, where))
        for system in (clipped, gd.Random(clipped, same, jax.random.key(0))):
            end = system.point(gd.iterate(system, system.init(start), 20, every=20).final)
            np.testing.assert_allclose(end, [theta, psi], atol=1e-14)


class Halve(gd.AbstractConstraint):
    """No projection: its image moves on."""

    def project(self, x):
        return jax.tree.map(lambda leaf: leaf / 2, x)

    def tangent(self, x, velocity):
        return velocity

    def margins(self, x):
        return jnp.ones(1)


BILINEAR = gd.games.bilinear()


@pytest.mark.parametrize(
    "system",
    [
        gd.Projected(gd.SimGD(BILINEAR, 0.1), Halve()),
        gd.Constrained(BILINEAR, Halve()),
        gd.Averaged(gd.Momentum(gd.Constrained(BILINEAR, Halve()), 0.1, 0.5), 0.9),
    ],
    ids=["Projected", "Constrained", "inside"],
)
def test_a_projection_that_moves_its_image_is_refused(system):
    x = gd.Players(0.0, 0.0)
    # At the origin nothing shows: the states around it do.
    with pytest.raises(ValueError, match=r"Halve is no projection: it moves .* and that again to"):
        gd.stability(system, system.init(x) if isinstance(system, gd.AbstractMap) else x)
