"""The report of an experiment: its numbers are those of a linear GAN in closed form, and nothing else is fetched or hidden."""

import collections
import dataclasses
import itertools
import json
import re
import signal
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats

import gandyn as gd
from gandyn import report
from gandyn.claims._claim import NIE_PATEL
from gandyn.experiments import Effect, Experiment, Setting, Start, conduct
from gandyn.report._animate import _repeat
from gandyn.training import Batches, Every, Spectrum, _run
from gandyn.training._progress import Bars

GAMMA, STEP, STEPS, SEEDS = 0.8, 0.2, 20, (3, 4)


def shift(phi, z):
    return phi + z


def linear(psi, x):
    return psi[:2] @ x + psi[2]


# One point of data and one latent point: every mini-batch is the whole law, and the game is linear in its state.
GAN = gd.GAN(shift, linear, gd.Discrete(np.zeros((1, 2))), gd.Discrete(np.zeros((1, 2))), gd.objectives.wasserstein)


def start(seed):
    theta = np.random.default_rng(seed).normal(size=5)
    return gd.Players(jnp.asarray(theta[:2]), jnp.asarray(theta[2:]))


def distance(step, state, key):
    return {"distance": jnp.linalg.norm(step.point(state).generator)}


def arm(gamma, h=STEP):
    def build(setting, seed, dtype):
        step = gd.Random(gd.SimGD(gd.Penalised(GAN, gd.r1, gamma), h), Batches(2), jax.random.key(seed))
        return Start(step, start(seed), (Every(5, distance), Every(10, Spectrum(gd.Dense()))))

    return build


def end(run):
    return run.last("distance")


TINY = Experiment(
    key="tiny",
    source=NIE_PATEL,
    title="A linear GAN <with> a penalty",
    text="The generator shifts a point, the discriminator is affine.",
    arms={"plain": arm(0.0), "penalty": arm(GAMMA), "too far": arm(0.0, 1e30)},
    small=Setting(STEPS, SEEDS, {"gamma": GAMMA}),
    full=Setting(1000, SEEDS, {"gamma": GAMMA}),
    effects=(Effect("distance from the data at the end", end, "plain", "penalty", 0.05),),
    curves=("distance",),
    figure=lambda run, ax: gd.plot.samples(run.start.step, run.point, jax.random.key(0), count=16, ax=ax),
)


def expected(gamma, seed):
    """The distance after all steps: V = -psi.phi, its gradient flow and the penalty gamma |psi|^2 / 2, by matrix powers."""
    i, o = np.eye(2), np.zeros((2, 2))
    x = start(seed)
    away = np.linalg.matrix_power(np.eye(4) + STEP * np.block([[o, i], [-i, -gamma * i]]), STEPS)
    return float(np.linalg.norm((away @ np.concatenate([x.generator, x.discriminator[:2]]))[:2]))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    found = conduct(TINY, TINY.small, folder / "runs", dtype=jnp.float64, progress=False)
    page = report.write_experiment(found, folder / "report")
    data = json.loads((folder / "report" / "experiment.json").read_text(), parse_constant=pytest.fail)
    return found, page.read_text(encoding="utf-8"), data


def row(page, name):
    """The cells of the first table row with this heading."""
    (cells, *_) = re.findall(rf"<tr><th>{name}</th>(.*?)</tr>", page)
    return [cell.strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells)]


def test_the_numbers_are_those_of_the_linear_map(made):
    _, page, data = made
    (finding,) = data["findings"]
    more, less = ([expected(gamma, seed) for seed in SEEDS] for gamma in (0.0, GAMMA))
    # Twenty products of well-conditioned matrices, each rounded.
    np.testing.assert_allclose(finding["more"]["by_seed"], more, rtol=1e-13)
    np.testing.assert_allclose(finding["less"]["by_seed"], less, rtol=1e-13)
    interval = stats.ttest_rel(more, less).confidence_interval(0.95)
    np.testing.assert_allclose(finding["interval"], interval, rtol=1e-10)
    assert finding["verdict"] == "undecided"  # Two seeds: Student's factor is 12.7.
    assert row(page, "plain")[:2] == [f"{value:.4g}" for value in more]
    assert row(page, "penalty") == [f"{value:.4g}" for value in less]
    assert f"{interval.low:.4g} to {interval.high:.4g}" in page
    assert 'class="verdict corrected">undecided' in page


def test_runs_one_after_the_other_are_the_same_and_are_read_back(made, tmp_path, monkeypatch, capsys):
    found, *_ = made
    tiny = dataclasses.replace(TINY, arms={name: TINY.arms[name] for name in ("plain", "penalty")})
    alone = conduct(tiny, TINY.small, tmp_path, dtype=jnp.float64, jobs=1)
    assert "tiny: penalty, seed 3 (2 of 4)" in capsys.readouterr().err
    assert list(alone.runs) == [(name, seed) for name in tiny.arms for seed in SEEDS]
    monkeypatch.setattr(_run, "_advance", pytest.fail)
    again = conduct(tiny, TINY.small, tmp_path, dtype=jnp.float64, progress=False)
    for key, run in alone.runs.items():
        for name, curve in run.training.curves.items():
            np.testing.assert_array_equal(curve.values, found.runs[key].training.curves[name].values)
            np.testing.assert_array_equal(curve.values, again.runs[key].training.curves[name].values)


def test_more_steps_prolong_what_was_run(tmp_path):
    def built(setting, seed, dtype):
        made = arm(GAMMA)(setting, seed, dtype)
        return made._replace(metrics=(Every(setting.steps // 4, distance),))

    tiny = dataclasses.replace(TINY, arms={"plain": built, "penalty": built})
    for steps, measured in ((STEPS, [0, 5, 10, 15, 20]), (2 * STEPS, [0, 5, 10, 15, 20, 30, 40])):
        setting = dataclasses.replace(TINY.small, steps=steps)
        longer = conduct(tiny, setting, tmp_path, dtype=jnp.float64, progress=False)
        assert longer.runs["plain", 3].training.curves["distance"].steps.tolist() == measured


@pytest.fixture
def told(monkeypatch):
    """Set once the runs were told to stop."""
    event, stop = threading.Event(), Bars.stop

    def stopped(bars):
        stop(bars)
        event.set()

    monkeypatch.setattr(Bars, "stop", stopped)
    return event


def reached(folder):
    """The steps of the checkpoints, by arm and seed."""
    files = {file.parent: file.read_bytes().partition(b"\n")[0] for file in folder.rglob("checkpoint")}
    return {f"{path.parent.name} {path.name}": json.loads(header)["step"] for path, header in files.items()}


def held(told, before):
    """An arm whose runs do something after five steps, and wait there until they are told to stop."""
    measured = collections.defaultdict(itertools.count)

    def waiting(step, state, key):
        if next(measured[threading.get_ident()]) == 1 and not told.is_set():
            before()
            assert told.wait(60)
        return distance(step, state, key)

    def build(setting, seed, dtype):
        return arm(GAMMA)(setting, seed, dtype)._replace(metrics=(Every(5, waiting),))

    return build


@pytest.fixture
def interruptible():
    """A process in the background may have been told to ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_every_run_where_it_is_and_they_go_on(made, tmp_path, told):
    found, *_ = made
    both = threading.Barrier(2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    tiny = dataclasses.replace(TINY, arms={name: held(told, both.wait) for name in ("plain", "penalty")})
    with pytest.raises(KeyboardInterrupt):
        conduct(tiny, TINY.small, tmp_path, dtype=jnp.float64, progress=False)
    assert reached(tmp_path) == {"plain seed-3": 5, "penalty seed-3": 5}
    after = conduct(tiny, TINY.small, tmp_path, dtype=jnp.float64, progress=False)
    for (name, seed), run in after.runs.items():
        assert name in tiny.arms
        before = found.runs["penalty", seed].training.curves["distance"]
        np.testing.assert_array_equal(run.training.curves["distance"].values, before.values)


def test_a_run_that_fails_stops_the_others(tmp_path, told):
    others = threading.Event()

    def broken(setting, seed, dtype):
        assert others.wait(60)
        raise OSError("no such data")

    tiny = dataclasses.replace(TINY, arms={"plain": held(told, others.set), "penalty": broken})
    with pytest.raises(OSError, match="no such data"):
        conduct(tiny, TINY.small, tmp_path, dtype=jnp.float64, progress=False)
    assert reached(tmp_path) == {"plain seed-3": 5}


@pytest.mark.parametrize("seeds", [(), (3, 3)])
def test_each_seed_counts_once(seeds):
    with pytest.raises(ValueError, match="one seed at least, and each once"):
        Setting(STEPS, seeds, {})


def test_curves_and_spectra_are_kept(made):
    _, _, data = made
    run = next(run for run in data["runs"] if (run["arm"], run["seed"]) == ("penalty", SEEDS[1]))
    assert run["curves"]["distance"]["steps"] == [0, 5, 10, 15, 20]
    assert run["curves"]["distance"]["values"][-1] == data["findings"][0]["less"]["by_seed"][1]
    lead = np.array(run["curves"]["eigenvalues.flow"]["values"][-1]) @ [1, 1j]
    # The roots of s^2 + gamma s + 1, each double, and the zero of the constant that the objective does not see.
    roots = np.roots([1, GAMMA, 1])
    assert np.abs(lead[0]) < 1e-12
    np.testing.assert_allclose(np.sort_complex(lead[1:]), np.sort_complex([*roots, *roots]), atol=1e-7)


def test_end_points_are_told_in_words(made):
    _, page, data = made
    words, plain = data["ends"]["penalty"]["words"], data["ends"]["plain"]["words"]
    assert words["zero modes"] == "1 of the 5 found are zero within their error"
    # gamma / |lambda|^2 with |lambda| = 1, as s^2 + gamma s + 1 has it.
    assert words["step size"].endswith("a step size of at most 0.8; in use is 0.2")
    assert "still moving" in words["gradient against noise"]
    # Of the plain game 1 + h i: modulus sqrt(1 + h^2), argument arctan h, and so it is followed.
    assert plain["multiplier of the map"].count("of modulus 1.0198 and argument 0.1974") == 2
    assert plain["step size"].startswith("no step size")
    assert page.count("gradient against noise") == 2


def test_a_run_that_diverged_is_marked(made):
    _, page, data = made
    outcomes = {run["outcome"] for run in data["runs"] if run["arm"] == "too far"}
    # Each step multiplies by about 1e30, and 1e300 is the last power below 1.8e308.
    assert outcomes == {"diverged after step 10"}
    assert page.count('class="fails">diverged after step 10') == len(SEEDS)
    assert 'class="verdict fails">diverged after step 10' in page
    assert "too far" not in data["ends"]
    (distances, _) = [run["curves"]["distance"]["steps"] for run in data["runs"] if run["arm"] == "too far"]
    assert distances == [0, 5, 10]


def test_the_page_is_self_contained(made):
    _, page, data = made
    assert not re.findall(r'(?:src|href)="(?!#|data:image/png;base64,)', page)
    assert "A linear GAN &lt;with&gt; a penalty" in page
    # A finding, a curve, and spectra of flow and map of three arms as vectors; the end of the two arms that have one.
    assert page.count('role="img"') == 2 + 2 * 3
    assert page.count("<img ") == 2
    assert len(set(re.findall(r'\bid="([^"]*)"', page))) == len(re.findall(r'\bid="', page))
    assert data["setting"] == {"steps": STEPS, "seeds": list(SEEDS), "gamma": GAMMA}
    assert data["parameters"]["plain"] == {"generator": 2, "discriminator": 3}


def test_a_second_report_has_the_same_bytes(made, tmp_path):
    found, page, data = made
    again = report.write_experiment(found, tmp_path).read_text(encoding="utf-8")
    now = json.loads((tmp_path / "experiment.json").read_text())["provenance"]["date"]
    assert again.replace(now, "") == page.replace(data["provenance"]["date"], "")


def test_a_run_repeats_bit_by_bit(made):
    run = made[0].runs["penalty", SEEDS[0]]
    pairs = _repeat(run, 2, progress=False)
    assert [step for step, _ in pairs] == [0, 10, 20]
    assert eqx.tree_equal(pairs[0][1], run.start.point)
    assert eqx.tree_equal(pairs[-1][1], run.point)


def test_an_arm_as_a_moving_picture(made, tmp_path):
    found, file = made[0], tmp_path / "tiny.gif"
    report.animate(found, file, arm="penalty", frames=2, progress=False)
    with Image.open(file) as picture:
        assert getattr(picture, "n_frames", 1) == 3
    # Of a run that diverges after ten steps the start remains, and not what is of the size 1e300.
    report.animate(found, file, arm="too far", frames=1, progress=False)
    with Image.open(file) as picture:
        assert getattr(picture, "n_frames", 1) == 1
