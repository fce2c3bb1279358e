"""Jacobians and spectra: against numpy, against forty digits, and against what the state says is a coordinate."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gandyn as gd
from gandyn.analysis._linear import damped_solve, eigenvalues, jacobian, smallest_singular_value

EPS = np.finfo(float).eps


class Linear(gd.AbstractFlow):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


class Counting(gd.AbstractMap):
    """A map with a clock and a key in its state, and a dictionary of coordinates of unlike shapes."""

    def __call__(self, x):
        moving, clock, key = x
        w, b = moving["w"], moving["b"]
        new = {"w": jnp.tanh(w) * b, "b": b**2 + jnp.sum(w[0]) * w[1, 1]}
        return new, clock + 1, jax.random.split(key)[0]


def near_defective():
    """Two by two: random, triangular, and within every distance of a double eigenvalue, at scales far from one."""
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=(2, 2)) for _ in range(10)]
    for gap in 10.0 ** -np.arange(2, 18, 2):
        matrices += [np.array([[1, 1], [gap, 1]]), np.array([[1, 1], [-gap, 1]]), np.array([[-1, 1e6], [0, -1 - gap]])]
        q = np.linalg.qr(rng.normal(size=(2, 2)))[0]
        matrices.append(q @ np.array([[0.3, 2], [gap, 0.3]]) @ q.T)
    return np.stack(matrices + [s * m for m in matrices[:8] for s in (1e-60, 1e60)])


def test_two_by_two_eigenvalues_are_those_of_a_matrix_one_rounding_away():
    matrices = near_defective()
    found = np.asarray(jax.vmap(eigenvalues)(jnp.asarray(matrices)))
    with mpmath.workdps(60):
        for matrix, values in zip(matrices, found, strict=True):
            for value in values:
                shifted = mpmath.matrix(matrix.tolist()) - mpmath.mpc(value) * mpmath.eye(2)
                distance = mpmath.svd_c(shifted, compute_uv=False)[1]
                # The closed form rounds about ten times.
                assert distance <= 8 * EPS * mpmath.mpf(np.linalg.norm(matrix))


def test_a_double_eigenvalue_is_exact_in_closed_form():
    values = eigenvalues(jnp.array([[0.0, 0.5], [-0.5, -1.0]]))
    assert np.array_equal(values, [-0.5, -0.5])


@pytest.mark.parametrize("n", [1, 3, 6])
def test_eigenvalues_match_numpy(n):
    matrix = np.random.default_rng(n).normal(size=(n, n))
    found, wanted = (np.sort_complex(np.asarray(v)) for v in (eigenvalues(jnp.asarray(matrix)), np.linalg.eigvals(matrix)))
    np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.mark.parametrize("n", [2, 4])
def test_the_derivative_of_a_simple_eigenvalue_is_that_of_its_two_eigenvectors(n):
    rng = np.random.default_rng(n)
    matrix, direction = rng.normal(size=(2, n, n))
    values, right = np.linalg.eig(matrix)
    left = np.linalg.inv(right)
    wanted = np.einsum("ij,jk,ki->i", left, direction, right)
    found, slope = jax.jvp(eigenvalues, (jnp.asarray(matrix),), (jnp.asarray(direction),))
    order = np.argmin(np.abs(np.asarray(found)[None, :] - values[:, None]), axis=1)
    # Eigenvector conditions are below 100 here.
    np.testing.assert_allclose(np.asarray(slope)[order], wanted, rtol=1e-11)


@pytest.mark.parametrize(("dtype", "scale"), [(np.complex128, 1e-70), (np.complex128, 1.0), (np.complex128, 1e70)])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_smallest_singular_value_matches_numpy(n, dtype, scale):
    rng = np.random.default_rng(n)
    stack = rng.normal(size=(30, n, n)) + 1j * rng.normal(size=(30, n, n))
    stack[:10] = stack[:10, :, :1] * rng.normal(size=(10, 1, n)) + 1e-9 * stack[10:20]
    stack = (scale * stack).astype(dtype)
    wanted = np.linalg.svd(stack, compute_uv=False)[:, -1]
    found = jax.vmap(smallest_singular_value)(jnp.asarray(stack))
    size = np.linalg.norm(stack, axis=(1, 2)).max()
    np.testing.assert_allclose(found, wanted, atol=10 * np.finfo(dtype).eps * size)


def test_the_smallest_singular_value_in_single_precision_keeps_its_range():
    stack = np.random.default_rng(3).normal(size=(40, 2, 2)).astype(np.float32)
    wanted = np.linalg.svd(stack.astype(float), compute_uv=False)[:, -1]
    for scale in (np.float32(1e-15), np.float32(1), np.float32(1e15)):
        found = np.asarray(jax.vmap(smallest_singular_value)(jnp.asarray(scale * stack)), float) / float(scale)
        np.testing.assert_allclose(found, wanted, atol=10 * np.finfo(np.float32).eps * np.abs(stack).max())


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("damping", [1e-30, 1e-12, 1.0])
def test_a_damped_solution_is_the_least_squares_solution_of_the_stacked_system(n, damping):
    rng = np.random.default_rng(n)
    u, v = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    matrix, right = u @ np.diag(np.geomspace(1, 1e-6, n)) @ v, rng.normal(size=n)
    stacked = np.concatenate([matrix, np.sqrt(damping) * np.eye(n)])
    wanted = np.linalg.lstsq(stacked, np.concatenate([right, np.zeros(n)]), rcond=None)[0]
    found = damped_solve(jnp.asarray(matrix), jnp.asarray(right), jnp.asarray(damping))
    # A condition number of 1e6 costs six digits.
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_a_singular_matrix_gives_no_step_along_its_null_space():
    for n in (2, 3):
        matrix = jnp.zeros((n, n)).at[0, 0].set(2.0)
        np.testing.assert_allclose(damped_solve(matrix, jnp.ones(n), jnp.asarray(1e-20)), np.eye(n)[0] / 2, atol=1e-15)


def counting_state():
    w = jnp.array([[0.3, -0.2, 0.5], [0.1, 0.7, -0.4]])
    return {"w": w, "b": jnp.asarray(0.6)}, jnp.asarray(3), jax.random.key(0)


def test_clocks_and_keys_in_a_state_are_no_coordinates():
    operator = gd.linearize(Counting(), counting_state())
    matrix = operator.as_matrix()
    assert matrix.shape == (7, 7)
    np.testing.assert_array_equal(jacobian(Counting(), counting_state()), matrix)


def test_a_linearization_acts_as_its_matrix_and_its_transpose():
    moving, *_ = counting_state()
    operator = gd.linearize(Counting(), counting_state())
    direction = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size, dtype=float)).reshape(leaf.shape), (moving, None, None))
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(direction)])
    matrix = np.asarray(operator.as_matrix())
    for linear, dense in ((operator, matrix), (operator.transpose(), matrix.T)):
        image = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(linear.mv(direction))])
        np.testing.assert_allclose(image, dense @ flat, atol=1e-14)


def test_a_linearization_is_the_slope_of_the_map():
    moving, clock, key = counting_state()

    def at(t, direction):
        state = jax.tree.map(lambda leaf, d: leaf + t * d, moving, direction), clock, key
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(Counting()(state)[0])])

    matrix = np.asarray(gd.linearize(Counting(), (moving, clock, key)).as_matrix())
    basis = np.eye(7)
    for column in range(7):
        direction = {"b": basis[column, 0], "w": basis[column, 1:].reshape(2, 3)}
        # Central differences at 1e-5: 1e-10 of curvature, 1e-11 of rounding.
        slope = (at(1e-5, direction) - at(-1e-5, direction)) / 2e-5
        np.testing.assert_allclose(matrix[:, column], slope, atol=1e-9)


def test_linearize_needs_no_equilibrium_and_takes_plain_numbers():
    class Square(gd.AbstractFlow):
        def __call__(self, x):
            return x**2

    assert gd.linearize(Square(), 3).as_matrix() == 6.0


def test_blocks_are_the_players_blocks_of_the_jacobian():
    rng = np.random.default_rng(0)
    a, b = (m + m.T for m in (rng.normal(size=(2, 2)), rng.normal(size=(3, 3))))
    c = rng.normal(size=(2, 3))
    found = gd.blocks(gd.games.quadratic(a, c, b), two_and_three())
    wanted = {
        ("generator", "generator"): -a,
        ("generator", "discriminator"): -c,
        ("discriminator", "generator"): c.T,
        ("discriminator", "discriminator"): -b,
    }
    assert found.keys() == wanted.keys()
    for name, block in wanted.items():
        np.testing.assert_allclose(found[name], block, atol=1e-14)


def two_and_three():
    return gd.Players(jnp.zeros(2), jnp.zeros(3))


def test_blocks_follow_the_names_of_the_state():
    class Rotation(gd.AbstractFlow):
        def __call__(self, x):
            return {"b": x["a"] * jnp.ones(2), "a": -jnp.sum(x["b"])}

    found = gd.blocks(Rotation(), {"a": 1.0, "b": jnp.zeros(2)})
    assert {name: block.shape for name, block in found.items()} == {
        ("a", "a"): (1, 1),
        ("a", "b"): (1, 2),
        ("b", "a"): (2, 1),
        ("b", "b"): (2, 2),
    }
    np.testing.assert_array_equal(found["b", "a"], np.ones((2, 1)))
    np.testing.assert_array_equal(found["a", "b"], -np.ones((1, 2)))


TRACES = []


class Traced(gd.AbstractGame):
    weight: jax.Array

    def losses(self, x):
        TRACES.append(1)
        return self.weight * x[0] * x[1], -self.weight * x[0] * x[1] + x[1] ** 2


def test_blocks_compile_once():
    x = gd.Players(jnp.asarray(0.3), jnp.asarray(0.2))
    gd.blocks(Traced(jnp.asarray(1.0)), x)
    traced = len(TRACES)
    assert gd.blocks(Traced(jnp.asarray(2.0)), x)["discriminator", "generator"].item() == 2
    assert len(TRACES) == traced
