"""Single precision: verdicts that it cannot support are not given, and those that are given are true."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.analysis._verdict import MARGINAL, STABLE, UNDECIDED, UNSTABLE

DECADES = np.array([1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
OFFSETS = np.concatenate([-DECADES[::-1], [0.0], DECADES])


def single(tree):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)


def verdicts(make, values, x):
    """The verdicts in single precision of the systems made from some values."""
    found = jax.jit(jax.vmap(lambda value: gd.stability(make(value), single(x), throw=False)))(jnp.asarray(values, jnp.float32))
    assert found.growth.dtype == found.error.dtype == jnp.float32
    return np.asarray(found.code), found


def honest(codes, truths):
    """Stable only where the true growth is negative, unstable only where it is positive."""
    assert np.all(np.isin(codes, [STABLE, UNSTABLE, MARGINAL, UNDECIDED]))
    assert np.all(truths[codes == STABLE] < 0)
    assert np.all(truths[codes == UNSTABLE] > 0)


REST = gd.Players(jnp.zeros(()), jnp.zeros(()))


def damped(damping):
    return gd.games.quadratic(damping, jnp.ones((), damping.dtype), damping)


def test_a_centre_with_little_damping():
    # The eigenvalues are -damping plus or minus i.
    codes, found = verdicts(damped, OFFSETS, REST)
    honest(codes, -OFFSETS)
    decided = np.abs(OFFSETS) >= 1e-5
    assert np.all(np.isin(codes[decided], [STABLE, UNSTABLE]))
    assert not np.any(np.isin(codes[np.abs(OFFSETS) <= 1e-8], [STABLE, UNSTABLE]))
    assert np.all(np.asarray(found.error)[decided] < np.abs(OFFSETS)[decided])


# With damping 1/2 and rotation 1 the simultaneous multipliers 1 + h (-1/2 + i) cross the unit circle at h = 4/5. Those of
# alternating steps have the product (1 - h/2)^2 and the sum 2 - h - h^2, so one of them is -1 at h = 4/3.
@pytest.mark.parametrize(("kind", "critical"), [(gd.SimGD, 4 / 5), (gd.AltGD, 4 / 3)])
def test_a_step_near_the_critical_one(kind, critical):
    def step(relative):
        return kind(damped(jnp.full((), 0.5, relative.dtype)), jnp.asarray(critical, relative.dtype) * (1 + relative))

    # Relative offsets below the epsilon of single precision vanish in the step itself.
    offsets = OFFSETS[(np.abs(OFFSETS) > 1e-6) | (OFFSETS == 0)]
    codes, _ = verdicts(step, offsets, REST)
    honest(codes, offsets)
    assert codes[offsets == 0] in (MARGINAL, UNDECIDED)
    assert np.all(np.isin(codes[np.abs(offsets) >= 1e-4], [STABLE, UNSTABLE]))


def test_games_of_five_parameters():
    # Random games, moved to within every decade of the boundary: A + s and B + s move all eigenvalues by -s.
    rng = np.random.default_rng(0)
    games, truths = [], []
    for offset in np.concatenate([OFFSETS, OFFSETS]):
        a, b = (np.float32(m + m.T) for m in (rng.normal(size=(2, 2)), rng.normal(size=(3, 3))))
        c = np.float32(rng.normal(size=(2, 3)))
        shift = np.linalg.eigvals(np.block([[-a, -c], [c.T, -b]]).astype(float)).real.max() + offset
        a, b = np.float32(a + shift * np.eye(2)), np.float32(b + shift * np.eye(3))
        truths.append(np.linalg.eigvals(np.block([[-a, -c], [c.T, -b]]).astype(float)).real.max())
        games.append(gd.games.quadratic(a, c, b))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *games)
    x = gd.Players(jnp.zeros(2, jnp.float32), jnp.zeros(3, jnp.float32))
    found = eqx.filter_jit(eqx.filter_vmap(lambda game: gd.stability(game, x, throw=False)))(stacked)
    codes, truths = np.asarray(found.code), np.array(truths)
    honest(codes, truths)
    # The bound lies above the true growth.
    assert np.all(np.asarray(found.growth + found.error, float) >= truths)
    decided = np.abs(truths) > 1e-3
    assert np.all(np.isin(codes[decided], [STABLE, UNSTABLE]))
    assert decided.sum() > 8


def test_a_defective_eigenvalue():
    # R1 on the Dirac-GAN has the double eigenvalue -1/2 at weight 1, which single precision splits by 1e-4.
    codes, found = verdicts(lambda w: gd.Penalised(single(gd.games.dirac()), gd.r1, w), [0.9, 1.0, 1.1], REST)
    assert np.all(codes == STABLE)
    assert abs(float(found.growth[1]) + 0.5) <= float(found.error[1]) < 0.1


def test_the_package_without_double_precision():
    with jax.enable_x64(False):
        game = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
        assert game.weight.dtype == jnp.float32
        found = gd.equilibrium(game, gd.Players(0.5, -0.4))
        assert found.state.generator.dtype == jnp.float32
        np.testing.assert_allclose(jnp.stack(found.state), [0.0, 0.0], atol=1e-5)
        result = gd.stability(game, found.state)
        assert result.verdict == "stable"
        # The equilibrium itself is known to about the epsilon.
        np.testing.assert_allclose(result.growth, -0.15, rtol=1e-5)
        assert gd.stability(game.game, gd.Players(0.0, 0.0)).verdict == "marginal"
