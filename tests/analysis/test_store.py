"""Sweeps as data sets and in folders: the same to the last bit, whatever ends, repeats, shares or damages them."""

import os
import resource
import shutil
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gandyn as gd
from gandyn.analysis import _sweep
from gandyn.plot import _swept

AXES = {
    "gamma": (lambda s: s.flow.weight, [0.1, 0.5, 0.9, 1.3, 1.5, 1.7, 2.0]),
    "h": (lambda s: s.h, np.linspace(0.2, 5.0, 4)),
}


def verdict(system):
    # At one value not at an equilibrium, so that some cells fail.
    return gd.stability(system, gd.Players(jnp.where(system.flow.weight == 1.5, 0.3, 0.0), 0.0), throw=False)


def cheap(system):
    return {"product": system.h * system.flow.weight, "row": system.h + jnp.arange(3.0), "order": jnp.argmax(system.h)}


def r1_step(h=0.1, atom=0.0):
    return gd.AltGD(gd.Penalised(gd.games.dirac(target=atom), gd.r1, 0.3), h)


def stored(path, fn=cheap, system=None, axes=AXES, **options):
    return gd.sweep(fn, r1_step() if system is None else system, axes, chunk=8, store=path, **options)


@pytest.fixture(scope="module")
def memory():
    return gd.sweep(verdict, r1_step(), AXES, chunk=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweeps") / "verdicts"
    assert stored(path, verdict).complete
    return path


def content(path):
    """Every file of a store by its place, but for the attributes of the sweep, which have a date."""
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name != "zarr.json"}


def same(left, right):
    """Whether the variables of two data sets are the same to the last bit."""
    assert set(left.variables) == set(right.variables)
    for name in left.variables:
        assert left[name].dims == right[name].dims
        assert left[name].attrs == right[name].attrs
        assert left[name].dtype == right[name].dtype
        assert left[name].values.tobytes() == right[name].values.tobytes(), name


# Data sets


def test_a_data_set_has_names_verdicts_reasons_and_settings(memory):
    data = memory.to_xarray()
    assert data["growth"].dims == ("gamma", "h")
    assert data["eigenvalues"].dims == data["exponents"].dims == ("gamma", "h", "mode")
    assert data["gamma"].attrs == {"long_name": ".flow.weight"}
    np.testing.assert_array_equal(data.sel(h=0.2)["growth"], memory.values.growth[:, 0])
    words = np.array(data["verdict"].attrs["flag_meanings"].split())
    meant = dict(zip(data["verdict"].attrs["flag_values"], words, strict=True))
    np.testing.assert_array_equal(np.vectorize(meant.get)(data["verdict"].values), memory.values.verdict)
    reason = dict(zip(data["result"].attrs["flag_values"], data["result"].attrs["flag_texts"], strict=True))
    assert "not an equilibrium" in reason[int(data["result"][4, 1])]
    assert reason[int(data["result"][0, 0])] == ""
    assert data.attrs["function"].endswith("test_store.verdict")
    assert data.attrs["leaves"][".flow.game.real.atoms"] == "[0.0]"
    assert data.attrs["axes"] == {"gamma": [".flow.weight"], "h": [".h"]}
    assert (data.attrs["jax"], data.attrs["x64"], data.attrs["complete"]) == (jax.__version__, True, True)


class Outcome(eqx.Module):
    """A result whose numbers are finite even where it failed."""

    x: jax.Array
    count: jax.Array
    result: gd.RESULTS


def outcomes(system):
    failed = system.h > 2
    result = gd.RESULTS.where(failed, gd.RESULTS.max_steps, gd.RESULTS.successful)
    return {"solved": Outcome(system.h * jnp.ones(2), jnp.asarray(3), result), "always": system.h}


def test_failed_cells_are_masked_and_nothing_beside_them():
    data = gd.sweep(outcomes, r1_step(), {"h": (lambda s: s.h, [1.0, 2.0, 3.0])}).to_xarray()
    assert set(data) == {"solved.x", "solved.count", "solved.result", "always"}
    np.testing.assert_array_equal(data["solved.x"], [[1, 1], [2, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(data["solved.count"], [3, 3, 3])
    np.testing.assert_array_equal(data["always"], [1, 2, 3])
    words = dict(
        zip(data["solved.result"].attrs["flag_values"], data["solved.result"].attrs["flag_meanings"].split(), strict=True)
    )
    assert [words[int(code)] for code in data["solved.result"]] == ["successful", "successful", "max_steps"]


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda s: {"h": s.h}, "one thing called 'h'"),
        (lambda s: {"a": {"b": s.h}, "a.b": s.h}, "one thing called 'a.b'"),
        (lambda s: jax.random.key(0), "no form in a data set"),
        (lambda s: None, "no arrays"),
        (lambda s: {"a/b": s.h}, "nothing called 'a/b'"),
        (lambda s: {"done": s.h}, "nothing called 'done'"),
    ],
)
def test_what_has_no_form_in_a_data_set_is_refused(fn, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        gd.sweep(fn, r1_step(), {"h": AXES["h"]}, store=tmp_path / "s")
    assert not list(tmp_path.iterdir())


# In folders


def test_a_store_equals_the_sweep_in_memory_bit_by_bit(memory, folder):
    found = gd.open_sweep(folder)
    assert found.complete
    assert "4 of 4 finished" in str(found)
    data = found.to_xarray()
    same(data, memory.to_xarray())
    added = {"format", "schema", "program", "date"}
    assert {name: value for name, value in data.attrs.items() if name not in added} == {
        name: value for name, value in memory.to_xarray().attrs.items() if name not in added
    }
    # Any reader of zarr sees the same.
    with xr.open_zarr(folder, chunks=None, consolidated=False) as raw:
        assert raw["done"].values.all()
        np.testing.assert_array_equal(raw["growth"], data["growth"])


def test_pictures_draw_from_the_store_and_thin_it(memory, folder, monkeypatch):
    left, right = (gd.plot.chart(found) for found in (memory, gd.open_sweep(folder)))
    np.testing.assert_array_equal(left.collections[0].get_array(), right.collections[0].get_array())
    monkeypatch.setattr(_swept, "_SHOWN", 4)
    some = gd.plot.chart(gd.open_sweep(folder)).collections[0].get_array()
    assert some.shape == (4, 4)
    np.testing.assert_array_equal(np.ma.getmaskarray(some)[0], [False, False, True, False])
    line = gd.plot.paths(gd.open_sweep(folder).to_xarray().isel(h=0))
    assert line.get_xlabel() == gd.plot.paths(memory, "gamma").get_xlabel()


def counted(monkeypatch, fail=None, error=KeyboardInterrupt):
    """Count the blocks that are computed, of which one fails."""
    real, calls = _sweep.evaluate, []

    def cells(fn, system, chosen, parts):
        if not isinstance(parts[0], jax.ShapeDtypeStruct) and not isinstance(parts[0], jax.core.Tracer):
            calls.append(tuple(float(part[0]) for part in parts))
            if len(calls) - 1 == fail:
                raise error
        return real(fn, system, chosen, parts)

    monkeypatch.setattr(_sweep, "evaluate", cells)
    return calls


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_sweep_goes_on_and_touches_nothing_that_is_finished(tmp_path, monkeypatch, error):
    undisturbed, path = tmp_path / "undisturbed", tmp_path / "s"
    stored(undisturbed)
    with monkeypatch.context() as patch:
        counted(patch, 2, error)
        if error is KeyboardInterrupt:
            found = stored(path)
            assert (found.interrupted, found.complete, int(found.done.sum())) == (True, False, 2)
        else:
            with pytest.raises(MemoryError):
                stored(path)
            found = gd.open_sweep(path)
    data = found.to_xarray()
    assert not data.attrs["complete"]
    assert np.isnan(data["product"][4:]).all()
    assert np.isfinite(data["product"][:4]).all()
    # What a killed process leaves of a block that it did not finish.
    (path / "product/c/2").mkdir()
    (path / "product/c/2/0").write_bytes(b"half")
    (path / "product/c/2/0.dead.partial").write_bytes(b"half")
    (tmp_path / ".s.deadbeef.partial").mkdir()
    times = {name: (path / name).stat().st_mtime_ns for name in content(path) if "/c/0" in name or "/c/1" in name}
    with monkeypatch.context() as patch:
        calls = counted(patch)
        # Other sizes of blocks are for another store.
        assert gd.sweep(cheap, r1_step(), AXES, chunk=3, store=path).complete
        assert len(calls) == 2
        assert stored(path).complete
        assert len(calls) == 2
    assert content(path) == content(undisturbed)
    assert {name: (path / name).stat().st_mtime_ns for name in times} == times
    assert {entry.name for entry in tmp_path.iterdir()} == {"undisturbed", "s"}


def test_shards_in_any_order_are_the_whole(tmp_path):
    stored(tmp_path / "whole")
    for i in (3, 1, 2):
        found = stored(tmp_path / "parts", shard=(i, 3))
    assert found.complete
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    # More parts than blocks: some have nothing to do.
    assert int(stored(tmp_path / "more", shard=(9, 9)).done.sum()) == 0


def test_a_block_that_another_run_holds_is_left_to_it(tmp_path, monkeypatch):
    stored(tmp_path / "s", shard=(1, 4))
    real, found = _sweep.evaluate, []

    def cells(*args):
        if not found:
            found.append(None)
            found.append(stored(tmp_path / "s"))
        return real(*args)

    monkeypatch.setattr(_sweep, "evaluate", cells)
    outer = stored(tmp_path / "s")
    assert (found[1].held, found[1].complete, int(found[1].done.sum())) == (1, False, 3)
    assert "1 held by other processes" in str(found[1])
    assert (outer.held, outer.complete) == (0, True)


SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import jax.numpy as jnp
import numpy as np
import zarr.codecs
import gandyn as gd
from gandyn.analysis import _sweep

folder = Path(sys.argv[1])
AXES = {"a": (lambda s: s.a, np.linspace(0.1, 2.0, 32)), "b": (lambda s: s.b, np.linspace(0.2, 5.0, 8))}

class Line(gd.AbstractFlow):
    a: float
    b: float

    def __call__(self, x):
        return self.a * x - self.b

def cheap(system):
    return {"product": system.a * system.b, "row": system.b + jnp.arange(3.0)}

def sweep(store):
    real = _sweep.evaluate
    def cells(fn, system, chosen, parts):
        if store.exists():
            with open(f"{store}.log", "a") as log:
                log.write(f"{float(parts[0][0])}\\n")
        return real(fn, system, chosen, parts)
    _sweep.evaluate = cells
    gd.sweep(cheap, Line(0.3, 0.1), AXES, chunk=8, store=store)

def start(store):
    # The modules are imported but JAX runs nothing yet, so that a copy of the process starts like a new one.
    if not (child := os.fork()):
        try:
            sweep(store)
        finally:
            os._exit(0)
    return child

os.waitpid(start(folder / "undisturbed"), 0)
begun = time.monotonic()
os.waitpid(start(folder / "again"), 0)
whole = time.monotonic() - begun
pair = [start(folder / "pair") for _ in range(2)]
for child in pair:
    os.waitpid(child, 0)
moment, killed, stores = random.Random(0), 0, 1
while killed < 20:
    child = start(folder / f"killed{stores}")
    time.sleep(moment.uniform(0.2, 1.0) * whole)
    os.kill(child, signal.SIGKILL)
    dead = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    killed, stores = killed + dead, stores + (not dead)
os.waitpid(start(folder / f"killed{stores}"), 0)
"""


def test_killed_twenty_times_and_run_twice_at_once(tmp_path):
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = os.environ | cache | {"JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    expected = content(tmp_path / "undisturbed")
    stores = [entry for entry in tmp_path.iterdir() if entry.is_dir()]
    assert len(stores) >= 4, stores
    for store in stores:
        assert content(store) == expected, store
    # Nothing is computed twice: by two at once no block at all, by those that were killed only what they had not finished.
    assert sorted((tmp_path / "pair.log").read_text().split()) == sorted((tmp_path / "undisturbed.log").read_text().split())
    logs = sum(len(log.read_text().split()) for log in tmp_path.glob("killed*.log"))
    assert logs <= 32 * (len(stores) - 3) + 20


# What is refused


def moved(name, values):
    return AXES | {name: (AXES[name][0], values)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": moved("h", np.linspace(0.2, 5.1, 4))}, "its axis 'h' has other values"),
        ({"axes": moved("h", [0.2])}, "its axis 'h' has other values"),
        ({"axes": dict(reversed(AXES.items()))}, r"its axes are \['gamma', 'h'\], these are \['h', 'gamma'\]"),
        ({"system": r1_step(atom=0.5)}, r"its leaf \.flow\.game\.real\.atoms is \[0\.0\], this one \[0\.5\]"),
        ({"system": r1_step(h=(0.1, 0.2))}, r"its axis 'h' moves \['\.h'\], this one \['\.h\[0\]', '\.h\[1\]'\]"),
        ({"system": gd.SimGD(r1_step().flow, 0.1), "fn": outcomes}, r"another program, .*\.verdict under gandyn .*\.outcomes"),
    ],
)
def test_a_store_of_another_sweep_is_refused(folder, options, message):
    before = content(folder)
    with pytest.raises(ValueError, match=f"holds another sweep: .*{message}.*Choose another folder"):
        stored(folder, **{"fn": verdict} | options)
    assert content(folder) == before
    # The number from which an axis moves a leaf is no part of the sweep.
    assert stored(folder, verdict, r1_step(h=0.7)).complete


def test_folders_that_are_no_stores_are_refused(folder, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(ValueError, match="is a file; a sweep is stored in a folder"):
        stored(tmp_path / "file")
    with pytest.raises(ValueError, match="holds no sweep; choose an empty folder"):
        stored(tmp_path)
    with pytest.raises(OSError, match=r"cannot be written .*; choose a folder that exists and is writable"):
        stored(tmp_path / "file" / "s")
    with pytest.raises(OSError, match="there is no such folder"):
        gd.open_sweep(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no sweep"):
        gd.open_sweep(tmp_path)
    newer = shutil.copytree(folder, tmp_path / "newer")
    (newer / "zarr.json").write_text((newer / "zarr.json").read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ValueError, match="no sweep that this gandyn knows"):
        gd.open_sweep(newer)
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "newer"}


def test_damage_is_found(folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "s")
    chunk = path / "growth/c/1/0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-3] + bytes(3))
    with pytest.raises(RuntimeError, match="checksum"):
        gd.open_sweep(path).to_xarray()["growth"].load()
    chunk.unlink()
    with pytest.raises(ValueError, match="damaged: of 4 finished blocks growth has fewer"):
        gd.open_sweep(path)
    shutil.rmtree(path / "done/c")
    assert stored(path, verdict).complete
    assert content(path) == content(folder)


def test_a_full_disk_keeps_what_is_finished(tmp_path):
    def noise(system):
        return system.h * jax.random.normal(jax.random.key(0), (2000,))

    options = {"fn": noise, "path": tmp_path / "s"}
    stored(**options, shard=(1, 4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # A block has 128 kB of numbers that do not compress.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, hard))
        with pytest.raises(OSError, match=r"cannot be written .*The finished blocks are kept: make room"):
            stored(**options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert int(gd.open_sweep(tmp_path / "s").done.sum()) == 1
    assert stored(**options).complete


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (-1, -1)])
def test_a_shard_out_of_range_is_refused(tmp_path, shard):
    with pytest.raises(ValueError, match="part i = 1, "):
        stored(tmp_path / "s", shard=shard)
    with pytest.raises(ValueError, match="of the blocks of a store"):
        gd.sweep(cheap, r1_step(), AXES, shard=(1, 2))
    assert not list(tmp_path.iterdir())
