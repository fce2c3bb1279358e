"""The algorithm of one's own that the page "Extending" shows, through every analysis that takes a map."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gandyn as gd

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
HEADING = "## A new algorithm in at most ten lines"


def the_block():
    section = PAGE.read_text(encoding="utf-8").split(HEADING)[1]
    return section.split("```{code-cell}\n")[1].split("```")[0]


def the_class():
    found = {"gd": gd, "jax": jax}
    exec(the_block(), found)
    return found["Reflected"]


Reflected = the_class()
ORIGIN, START = gd.Players(0.0, 0.0), gd.Players(0.2, -0.1)
H = 0.2
GAME = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
STEP = Reflected(GAME, H)
REST = STEP.init(ORIGIN)
FLOW_VALUES = np.array([-0.15 - 1j * np.sqrt(0.25 - 0.15**2), -0.15 + 1j * np.sqrt(0.25 - 0.15**2)])
# A mode of the flow brings two: mu^2 = mu (1 + 2 h lambda) - h lambda.
VALUES = np.concatenate([np.roots([1, -1 - 2 * H * z, H * z]) for z in FLOW_VALUES])
GROWTH = np.log(np.abs(VALUES).max())


def agree(a, b, **tolerance):
    np.testing.assert_allclose(np.sort_complex(np.asarray(a, complex)), np.sort_complex(np.asarray(b, complex)), **tolerance)


def linear(system, x):
    return np.asarray(gd.linearize(system, x).as_matrix())


def spectrum(step):
    return np.linalg.eigvals(linear(step, step.init(ORIGIN)))


def step_size(step):
    return step.h


def test_it_has_at_most_ten_lines():
    assert len(the_block().strip().splitlines()) <= 10


def test_iterate():
    velocity, h = eqx.filter_jit(GAME), STEP.h
    x = last = np.array(START)
    for _ in range(10):
        ahead = velocity(gd.Players(*jnp.asarray(2 * x - last)))
        x, last = x + h * np.array(ahead), x
    np.testing.assert_allclose(np.array(gd.iterate(STEP, STEP.init(START), 10, every=10).final), [x, last], rtol=1e-12)


def test_equilibrium_and_equilibria():
    assert np.abs(np.array(gd.equilibrium(STEP, STEP.init(START)).state)).max() < 1e-12
    corners = tuple(STEP.init(gd.Players(u, u)) for u in (-1.0, 1.0))
    found = gd.equilibria(STEP, corners, starts=16)
    assert len(jax.tree.leaves(found.states)[0]) == 1


def test_stability_and_linearize():
    found = gd.stability(STEP, REST)
    assert found.verdict == "stable"
    agree(found.eigenvalues, VALUES, atol=1e-10)
    agree(np.linalg.eigvals(linear(STEP, REST)), VALUES, atol=1e-10)


def test_transient():
    matrix, power, peak = linear(STEP, REST), np.eye(4), 1.0
    for _ in range(50):
        power = matrix @ power
        peak = max(peak, np.linalg.norm(power, 2))
    assert float(gd.transient(STEP, REST).peak) == pytest.approx(peak, rel=1e-9)


def test_critical_step_and_threshold():
    step = Reflected(gd.games.bilinear(), 0.1)
    critical = float(gd.critical_step(step, REST).value)
    # Both moduli at one: h = 1 / sqrt 3, as for the optimistic gradient, whose linear part is similar.
    assert critical == pytest.approx(1 / np.sqrt(3), rel=1e-9)
    assert float(gd.threshold(step, step_size, REST, (0.1, 1.0)).value) == pytest.approx(critical, rel=1e-9)
    for factor, grows in ((0.99, False), (1.01, True)):
        moved = Reflected(gd.games.bilinear(), factor * critical)
        path = gd.iterate(moved, moved.init(START), 3000, every=1500)
        before, after = (np.hypot(*(np.asarray(v)[i] for v in moved.point(path.xs))) for i in (1, 2))
        assert after > 10 * before if grows else after < before / 10


def test_sweep():
    def growth(step):
        return gd.stability(step, step.init(gd.Players(jnp.zeros(()), jnp.zeros(()))), throw=False).growth

    found = gd.sweep(growth, STEP, {"h": (step_size, [H, 2 * H])}, progress=False)
    assert float(found.values[0]) == pytest.approx(GROWTH, rel=1e-10)


def test_predict_and_rate():
    found = gd.rate(gd.iterate(STEP, STEP.init(START), 600), REST, system=STEP)
    assert found.kind == found.predicted.kind == "exponential"
    assert float(found.predicted.growth) == pytest.approx(GROWTH, rel=1e-10)
    half = float(found.interval[1] - found.interval[0]) / 2
    assert abs(float(found.growth) - GROWTH) <= max(half, -1e-3 * GROWTH)


def test_normal_form():
    found = gd.normal_form(STEP, REST)
    assert float(found.exponent.real) == pytest.approx(GROWTH, rel=1e-10)
    assert abs(complex(found.coefficient)) > 1e-3
    linear_step = Reflected(gd.games.bilinear(), H)
    assert abs(complex(gd.normal_form(linear_step, REST).coefficient)) < 1e-14


def test_compare():
    row = gd.compare(GAME, [STEP], ORIGIN)["Reflected"]
    assert row["growth"] == pytest.approx(GROWTH, rel=1e-10)
    assert row["lost by"] == "Neimark–Sacker"


class Pull(gd.AbstractFlow):
    """Towards a target that is drawn anew each time."""

    target: jax.Array

    def __call__(self, x):
        return self.target - x


def redraw(key, step):
    return eqx.tree_at(lambda s: s.flow.target, step, jax.random.normal(key, (1,)))


def test_stationary_and_diffuse():
    step = Reflected(Pull(jnp.zeros(1)), H)
    noisy, rest = gd.Random(step, redraw, jax.random.key(0)), step.init(jnp.zeros(1))
    expected = scipy.linalg.solve_discrete_lyapunov([[1 - 2 * H, H], [1.0, 0.0]], np.diag([H**2, 0.0]))
    # The variance of 4096 draws is known to sqrt(2 / 4096) = 2 per cent.
    np.testing.assert_allclose(gd.stationary(noisy, rest).covariance, expected, rtol=0.1)
    with pytest.raises(ValueError, match="without memory"):
        gd.diffuse(noisy, rest, [0.0, 1.0], jax.random.key(1))


def test_modified():
    # log mu = z + z^2 / 2 + ... with z = h lambda.
    agree(np.linalg.eigvals(linear(gd.Modified(STEP), ORIGIN)), FLOW_VALUES + H * FLOW_VALUES**2 / 2, atol=1e-12)


def test_maps_of_maps():
    agree(spectrum(gd.Iterated(STEP, 3)), VALUES**3, atol=1e-12)
    agree(spectrum(gd.Projected(STEP, gd.Box(-1.0, 1.0))), VALUES, atol=1e-12)
    agree(spectrum(gd.Averaged(STEP, 0.9)), [*VALUES, 0.9, 0.9], atol=1e-12)
    agree(spectrum(gd.Lookahead(STEP, 3, 0.5)), (1 + VALUES**3) / 2, atol=1e-12)
    agree(spectrum(gd.Scheduled(STEP, step_size, lambda t: H)), VALUES, atol=1e-12)


def test_save_and_load(tmp_path):
    path = gd.iterate(STEP, STEP.init(START), 4)
    kept = gd.load(gd.save(path, tmp_path / "path.json"))
    for a, b in zip(jax.tree.leaves(path), jax.tree.leaves(kept), strict=True):
        np.testing.assert_array_equal(a, b)
