import dataclasses
import json
import os
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn import _json, _record
from gandyn.analysis import _assumptions, _attractor


class Trio(NamedTuple):
    first: jax.Array
    second: tuple
    third: dict


def _weight(flow):
    return flow.weight


def _stability_at_origin(flow):
    return gd.stability(flow, gd.Players(jnp.zeros(()), jnp.zeros(())), throw=False)


@pytest.fixture(scope="module")
def results():
    flow = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
    found = gd.equilibrium(flow, gd.Players(0.1, -0.2))
    spectrum = gd.stability(gd.SimGD(flow, 0.2), found.state)
    three, good = jnp.array([0.1, jnp.nan, 1 / 3]), gd.RESULTS.successful
    row = gd.Assumption("nk2", "a paper", "concave", "Q", three[0], three[1], {"rank": three[2]}, "undecided", "not finite")
    pairs = gd.Eigenpairs(three * 1j, jnp.ones((3, 2)) * 1j, jnp.ones((3, 1)), three, three, good)
    prediction = gd.Prediction("exponential", -three[0], three[2], 1, three[0], three[1])
    return {
        "Trajectory": gd.Trajectory(three, gd.Players(three, (three, -three)), good, {"max_steps": 9, "steps": jnp.array(2)}),
        "Equilibrium": found,
        "Equilibria": gd.Equilibria(gd.Players(three, three), three, three > 0, jnp.array(0.5), spectrum),
        "Manifold": gd.Manifold(jnp.ones((3, 0)), 1, jnp.array(1e-320)),
        "Stability": spectrum,
        "Special": gd.Special(
            three[0], gd.Players(*three[:2]), three[1] + 0j, three[2], three, None, None, "Hopf", "supercritical"
        ),
        "Branch": gd.Branch(three, gd.Players(three, three), spectrum, (), None, ("span", "lost"), good),
        "Codim2": gd.Codim2(three[:2], gd.Players(*three[:2]), three[2], "cusp"),
        "Boundary": gd.Boundary(jnp.ones((3, 2)), three, *[three] * 3, (), "fold", ("closed", "closed"), good),
        "Condition": gd.Condition(three, three[1], jnp.array(3)),
        "Notion": gd.Notion(*[gd.Condition(three, three[0], jnp.array(code)) for code in (0, 2)]),
        "Blocks": gd.notions(gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.0, 0.0)).blocks,
        "Notions": gd.notions(gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.0, 0.0)),
        "Eigenpairs": pairs,
        "EndPoint": gd.EndPoint(*three, pairs, pairs, pairs, three[2] * 1j, three[1], good),
        "BatchSpectra": gd.BatchSpectra(jnp.ones((3, 2)) * 1j, good),
        "Extremes": gd.Extremes(jnp.ones((2, 2)), jnp.ones((2, 2)), good),
        "Threshold": gd.Threshold(three[:1], (("stable", "unstable"),), good),
        "Sweep": gd.sweep(_stability_at_origin, flow, {"gamma": (_weight, [0.0, 1.0, np.inf])}, progress=False),
        "NormalForm": gd.NormalForm(three[0] * 1j, three[2] + 1j, three[1]),
        "Prediction": prediction,
        "Rate": gd.Rate("none", three[1], 0, three[0], three[:2], three[1:], 7, three[2], three[:2], prediction, three, three),
        "Comparison": gd.compare(flow, {"simgd": gd.SimGD(flow, 0.2)}, found.state),
        "Lyapunov": gd.Lyapunov(three, three, three[0], three[2], good),
        "Attractor": gd.Attractor(
            kind="chaos", why="it is", state=three, result=good, **dict.fromkeys(_attractor._NUMBERS, three[0])
        ),
        "Basins": gd.Basins(jnp.array([0, -2]), (three, three), three, ("chaos",), three, jnp.ones((3, 2)), three[0], good),
        "Crossings": gd.Crossings(three, gd.Players(three, three), three, three, three[0], gd.Players(*three[:2]), good, {}),
        "Cycle": gd.Cycle(
            three[0], three, gd.Players(three, three), three * 1j, three, *three[:2], three[0] > 0, three[2], good, {"steps": 3}
        ),
        "Family": gd.Family(three, three, three > 0, gd.Players(three, three), good),
        "PeriodicOrbit": gd.PeriodicOrbit(three, 3, three[0], spectrum, good),
        "Circle": gd.Circle(three[:2], *three, three, three[1:], good),
        "Deviation": gd.Deviation(gd.Players(*three[:2]), *three, *three, 1, good, {"cells": jnp.array(5)}),
        "Pursuit": gd.Pursuit(three, jnp.ones((3, 2)), gd.Players(*three[:2]), 0, True, good),
        "Conserved": gd.Conserved(three, three, *three, good),
        "Assumption": row,
        "Assumptions": gd.Assumptions(
            tuple(dataclasses.replace(row, key=key) for key in _assumptions._TEXTS), spectrum, 1, True, good
        ),
        "Transient": gd.Transient(three, three, *three, three * 1j, three[None] * 1j, three[None], good, False),
    }


def _bits(tree):
    return [(np.asarray(leaf).dtype, np.asarray(leaf).shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def test_the_results_of_every_type_are_here(results):
    assert results.keys() == _json.TYPES.keys()


@pytest.mark.parametrize("name", _json.TYPES)
def test_round_trip_is_exact(results, name, tmp_path):
    result = results[name]
    back = gd.load(gd.save(result, tmp_path / "result.json"))
    assert type(back) is type(result)
    assert jax.tree.structure(back) == jax.tree.structure(result)
    assert _bits(back) == _bits(result)


@pytest.mark.parametrize("name", _json.TYPES)
def test_files_are_strict_json(results, name, tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    text = gd.save(results[name], tmp_path / "result.json").read_text()
    document = json.loads(text, parse_constant=refuse)
    assert (document["format"], document["schema"], document["type"]) == ("gandyn result", 1, name)


def test_every_outcome_has_a_name():
    assert len(_json.OUTCOMES) == len(gd.RESULTS)
    for name in _json.OUTCOMES:
        node = _json.encode(getattr(gd.RESULTS, name), "x")
        assert node["names"] == [name]
        assert bool(_json.decode(node) == getattr(gd.RESULTS, name))


def test_a_failed_lane_keeps_its_outcome(results, tmp_path):
    back = gd.load(gd.save(results["Sweep"], tmp_path / "sweep.json"))
    assert list(back.values.verdict) == ["marginal", "stable", "failed"]
    assert np.array_equal(back.values.result == gd.RESULTS.successful, [True, True, False])


VALUES = {
    "signed zeros and limits": np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 5e-324, np.nextafter(1.0, 2.0), -1.7e308]
    ),
    "complex": np.array([complex(np.inf, -0.0), complex(np.nan, 1.0), 0.1 - 0.2j]),
    "complex64": np.array([[0.1 + 3e-45j]], np.complex64),
    "float32": np.array([0.1, 1e-45, 3e38], np.float32),
    "integers": np.array([[2**63 - 1], [-(2**63)]]),
    "unsigned": np.array([2**64 - 1, 0], np.uint64),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "half": jnp.array([0.1, -2.0], jnp.bfloat16),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_arrays_are_exact(value):
    node = json.loads(json.dumps(_json.encode(value, "x"), allow_nan=False))
    assert _bits(_json.decode(node)) == _bits(value)


def test_state_keeps_its_structure():
    state = Trio(jnp.ones(2), (1.5, [None, "text", float("-inf")]), {"b": True, "a": {0: jnp.arange(2)}})
    back = _json.decode(json.loads(json.dumps(_json.encode(state, "x"))))
    assert isinstance(back, Trio)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert (back.second, list(back.third)) == ((1.5, [None, "text", float("-inf")]), ["b", "a"])


def test_random_keys_are_kept():
    key = jax.random.split(jax.random.key(3), 2)
    back = _json.decode(_json.encode(key, "x"))
    assert back.dtype == key.dtype
    assert np.array_equal(jax.random.key_data(back), jax.random.key_data(key))


def test_networks_are_kept(tmp_path):
    parameters, _ = gd.network(eqx.nn.MLP(2, "scalar", 3, 1, key=jax.random.key(0)))
    found = gd.Equilibrium(gd.Players(jnp.zeros(2), parameters), jnp.zeros(()), gd.RESULTS.successful, {})
    back = gd.load(gd.save(found, tmp_path / "network.json"))
    assert jax.tree.structure(back) == jax.tree.structure(found)
    assert _bits(back) == _bits(found)


def test_a_class_that_is_not_imported_gets_a_stand_in():
    node = _json.encode(gd.Players(1.0, 2.0), "x") | {"type": "elsewhere.game:Duel"}
    first, second = _json.decode(node), _json.decode(node)
    assert type(first).__name__ == "Duel"
    assert (first.generator, first.discriminator) == (1.0, 2.0)
    assert jax.tree.structure(first) == jax.tree.structure(second)


def test_loading_imports_nothing():
    node = {"kind": "module", "type": "antigravity:Anything", "fields": {}}
    with pytest.raises(ValueError, match="antigravity:Anything is not there; import its module"):
        _json.decode(node)


def test_provenance(results, tmp_path):
    path = gd.save(results["Stability"], tmp_path / "s.json", seed=7, settings={"gamma": np.float64(0.3), "h": [1j, np.inf]})
    kept = gd.provenance(path)
    assert kept["seed"] == 7
    assert kept["settings"] == {"gamma": 0.3, "h": [[0.0, 1.0], "inf"]}
    assert kept["jax"] == jax.__version__
    assert kept["x64"] is True
    assert {"gandyn", "jaxlib", "numpy", "equinox", "python", "platform", "date"} <= kept.keys()


def test_provenance_is_not_overwritten(results, tmp_path):
    with pytest.raises(ValueError, match=r"\['jax'\] are recorded already"):
        gd.save(results["Stability"], tmp_path / "s.json", jax="mine")
    assert not list(tmp_path.iterdir())


def test_summary_of_a_single_result(results):
    summary = _record.as_json(results["Stability"])["summary"]
    assert summary["verdict"] == "stable"
    assert summary["growth"] == float(results["Stability"].growth)
    assert _record.as_json(results["Sweep"].values)["summary"] == {}


def test_what_has_no_json_form_is_named(tmp_path):
    found = gd.Equilibrium(gd.Players(jnp.zeros(()), len), jnp.zeros(()), gd.RESULTS.successful, {})
    with pytest.raises(ValueError, match=r"Equilibrium\.state\.discriminator is a builtin_function_or_method"):
        gd.save(found, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


def test_only_results_are_saved(tmp_path):
    with pytest.raises(ValueError, match="A GAN is no result; the results are"):
        gd.save(gd.games.dirac(), tmp_path / "x.json")


@pytest.mark.parametrize("place", ["missing/x.json", "file/x.json", "."])
def test_unwritable_places_leave_nothing(results, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot be written|no file that can be replaced"):
        gd.save(results["Stability"], tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupt_leaves_the_old_file(results, tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    path = gd.save(results["Stability"], tmp_path / "s.json")
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gd.save(results["Threshold"], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


DAMAGE = {
    "is no JSON": lambda d: None,
    "it lacks": lambda d: d | {"format": "other"},
    "schema 2, newer than 1": lambda d: d | {"schema": 2},
    "unknown type 'Spiral'": lambda d: d | {"type": "Spiral"},
    "knows no outcome": lambda d: _replaced(d, "result", {"kind": "outcome", "shape": [], "names": ["sunshine"]}),
    "unknown kind 'picture'": lambda d: _replaced(d, "bound", {"kind": "picture"}),
    "cannot reshape": lambda d: _replaced(d, "bound", {"kind": "array", "dtype": "float64", "shape": [3], "data": [1.0]}),
    "has the fields": lambda d: _replaced(d, "colour", 1),
}


def _replaced(document, field, node):
    return document | {"fields": document["fields"] | {field: node}}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_files_say_what_is_wrong(results, tmp_path, message):
    path = gd.save(results["Stability"], tmp_path / "s.json")
    document = DAMAGE[message](json.loads(path.read_text()))
    path.write_text("{" if document is None else json.dumps(document))
    with pytest.raises(ValueError, match=message) as caught:
        gd.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(OSError, match="cannot be read"):
        gd.load(tmp_path / "none.json")


def test_double_precision_is_not_cut(results, tmp_path):
    path = gd.save(results["Stability"], tmp_path / "s.json")
    with jax.enable_x64(False), pytest.raises(ValueError, match="complex128, which JAX would cut to single precision"):
        gd.load(path)
