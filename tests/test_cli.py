"""The command line: mostly as a function call, with a few whole processes for what only they show."""

import json
import os
import re
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn import _tree, cli, report
from gandyn.claims import Claim
from gandyn.claims._all import ALL
from gandyn.claims._claim import NIE_PATEL
from gandyn.cli import _games, _reproduce, _specs
from gandyn.cli._options import System

COMMAND = [sys.executable, "-m", "gandyn"]


def assembled(game, **options):
    return _specs.assemble(game, System(**options))


def spectrum(document, part="stability"):
    values = np.array(document[part]["fields"]["eigenvalues"]["data"])
    return np.sort_complex(values[:, 0] + 1j * values[:, 1])


# Whole processes

HELP = """
import sys
from gandyn.cli import run
code = run(["--help"]) or run(["stability", "--help"]) or run(["sweep", "--help"]) or run(["reproduce", "--help"])
heavy = {"jax", "numpy", "scipy", "matplotlib", "diffrax", "equinox"} & set(sys.modules)
sys.exit(code or (f"loaded {heavy}" if heavy else 0))
"""


def test_help_loads_neither_jax_nor_numpy():
    done = subprocess.run([sys.executable, "-W", "error", "-c", HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Examples:") == 4


def seconds(*words):
    """Processor time, which a busy machine stretches less than the clock."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done


def test_help_takes_half_a_second():
    assert min(seconds("--help")[0] for _ in range(3)) < 0.5


STABILITY = """
import sys
from gandyn.cli import run
code = run(["stability", "dirac"])
slow = {"matplotlib", "diffrax", "scipy.stats", "gandyn.claims"} & set(sys.modules)
sys.exit(code or (f"loaded {slow}" if slow else 0))
"""


def test_stability_starts_quickly():
    """Two large compilations and a few small ones, and no package that is not needed: what its seconds consist of."""
    command, environment = [sys.executable, "-c", STABILITY], {**os.environ, "JAX_LOG_COMPILES": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "verdict      marginal" in done.stdout
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", done.stderr)
    assert compiled.count("_equilibrium") == compiled.count("_stability") == 1
    assert len(compiled) <= 25, compiled


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() in (0, 1)


# Stability


def test_stability_in_words(run):
    code, out, err = run("stability", "dirac", "--penalty", "r1=0.3", "--map", "simgd=0.2")
    assert (code, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(("critical", "six")))
    assert lines["system"] == "game dirac; penalty r1=0.3; map simgd=0.2"
    assert lines["verdict"] == "stable"
    # Under R1 the eigenvalues are -gamma/2 +- sqrt(gamma^2/4 - 1/4), so that zeta^2 = 1/gamma^2 - 1 and h_c = 4 gamma.
    assert float(lines["zeta"].split()[0]) == pytest.approx(np.sqrt(1 / 0.09 - 1), rel=1e-9)  # ten digits are printed
    assert "critical h   1.2: stable -> unstable" in out


def test_stability_as_json(run, tmp_path):
    file = tmp_path / "stability.json"
    code, out, err = run("stability", "dirac", "--penalty", "r1=0.3", "--json", "--out", str(file))
    assert (code, err) == (0, "")
    document = json.loads(out, parse_constant=pytest.fail)
    assert document["verdict"] == "stable"
    assert document["settings"] == {"game": "dirac", "penalty": ["r1=0.3"]}
    root = np.sqrt(complex(0.15**2 - 0.25))
    # Simple eigenvalues of a 2 x 2 matrix of size one: a few roundings.
    np.testing.assert_allclose(spectrum(document), np.sort_complex([-0.15 - root, -0.15 + root]), rtol=1e-14)
    kept = gd.load(file)
    np.testing.assert_array_equal(np.sort_complex(kept.eigenvalues), spectrum(document))
    assert gd.provenance(file)["settings"] == document["settings"]


def test_the_norm_of_the_raw_game_is_another_one():
    gamma, strength, f = 0.3, 0.1, 0.5
    game = np.array([[0, f], [-f, 0]])
    penalised = game - np.diag([0, gamma])
    options = {"penalty": (f"r1={gamma}",)}
    for field, normed in ((f"consensus={strength}", penalised), (f"consensus={strength},of=game", game)):
        setup = assembled("dirac", field=(field,), **options)
        expected = penalised - strength * normed.T @ normed
        actual = jax.jacfwd(lambda v, s=setup: jnp.stack(s.flow(gd.Players(*v))))(jnp.zeros(2))
        np.testing.assert_allclose(actual, expected, atol=1e-15)  # sums of numbers of size one


def test_zero_modes_are_looked_across(run):
    code, out, _ = run("stability", "linear_scale", "--set", ".real.mean=0", "--set", ".latent.mean=0", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["stability"]["summary"]["verdict"] == "marginal"
    assert document["manifold"]["summary"]["dimension"] == 1
    assert document["verdict"] == document["transverse"]["summary"]["verdict"] == "stable"


def test_no_verdict_is_exit_code_one(run):
    code, out, err = run("stability", "dirac", "--objective", "wasserstein", "--penalty", "gp=0.3")
    assert (code, out) == (1, "")
    assert "field is not smooth" in err


@pytest.mark.parametrize("name", _games.LIBRARY)
def test_the_library_finds_its_equilibria(name):
    game, guess = _games.find(name)
    assert _tree.norm(game(guess)) > 1e-3
    assert gd.equilibrium(game, guess).residual < 1e-6


# What the options make


def test_penalties_fields_and_maps():
    setup = assembled(
        "dirac",
        objective="least-squares",
        noise=0.5,
        penalty=("gp=0.7,centre=2,form=quartic,points=real", "weight_decay=0.1,player=generator"),
        field=("jare=0.2", "nagarajan_kolter=0.3,of=game"),
        step="altgd=0.1:0.4,steps=1:5,order=discriminator:generator",
        at="-0.5,0.25",
    )
    assert setup.step.order == ("discriminator", "generator")
    assert setup.step.steps == (1, 5)
    assert [float(h) for h in setup.step.h] == [0.1, 0.4]
    outer, inner = setup.flow, setup.flow.flow
    assert float(outer.weight) == 0.6
    assert outer.of is not None
    assert inner.of is None
    decay, penalty = inner.flow, inner.flow.game
    assert decay.player == ("generator",)
    assert (float(penalty.weight), float(penalty.penalty.centre)) == (0.7, 2.0)
    assert isinstance(penalty.game.objective, type(gd.objectives.least_squares))
    assert float(penalty.game.noise.covariance) == 0.25
    assert (float(setup.guess.generator), float(setup.guess.discriminator)) == (-0.5, 0.25)


def test_the_proximal_game_of_a_penalised_one():
    setup = assembled("dirac", penalty=("r1=0.3", "proximal=0.4,norm=sobolev"))
    assert isinstance(setup.flow, gd.Proximal)
    assert float(setup.flow.lam) == 0.4
    assert setup.flow.norm.func.__name__ == "sobolev"
    assert [float(leaf) for name in ("r1", "proximal") for leaf in setup.numbers[name].where(setup.system)] == [0.3, 0.4]


def test_every_number_has_a_name():
    setup = assembled("dirac", noise=0.5, penalty=("r1=1", "r1=2", "gp=3"), field=("consensus=4,of=game",), step="simgd=0.1")
    named = {name: number for name, number in setup.numbers.items() if not name.startswith(".")}
    held = {name: {float(leaf) for leaf in number.where(setup.system)} for name, number in named.items()}
    values = {"noise": 0.25, "r1": 1.0, "r1_2": 2.0, "gp": 3.0, "gp.centre": 1.0, "consensus": 4.0, "h": 0.1}
    assert held == {name: {value} for name, value in values.items()}
    assert len(setup.numbers["noise"].where(setup.system)) == 2


SWEPT = {
    "noise": ({"field": ("consensus=0.1,of=game",)}, lambda value: {"noise": value}),
    "nagarajan_kolter": ({}, lambda value: {"field": (f"nagarajan_kolter={value}",)}),
    ".real.atoms": ({"field": ("jare=0.1,of=game",)}, lambda value: {"changes": (f".real.atoms={value}",)}),
    "h": ({"penalty": ("r1=0.3",)}, lambda value: {"step": f"simgd={value}"}),
}


@pytest.mark.parametrize("name", SWEPT)
def test_a_swept_number_is_that_of_its_option(name):
    options, moving = SWEPT[name]
    base, moved = (assembled("dirac", **options, **moving(value)) for value in (0.1, 0.4))
    number = base.numbers[name]
    leaves = _tree.select(base.system, number.where)
    _tree.check_tied(base.system, leaves, gd.AbstractSystem)
    swept = _tree.replace(base.system, leaves, number.leaf(np.array(0.4)))
    for left, right in zip(jax.tree.leaves(swept), jax.tree.leaves(moved.system), strict=True):
        np.testing.assert_array_equal(left, right)


# Claims


def _half(x):
    return {"value": x / 2}


def _wrong(x):
    return {"value": x}


def _broken(x):
    raise ValueError("the game has gone")


def _stop(x):
    raise KeyboardInterrupt


def claim(key, compute, correction=""):
    return Claim(key, NIE_PATEL, f"Title of {key}", "x/2", _half, compute, ({"x": 3.0},), correction=correction)


@pytest.fixture
def registry(monkeypatch):
    def use(*claims):
        monkeypatch.setattr(_reproduce, "ALL", {c.key: c for c in claims})

    return use


def test_reproduce(run, registry, tmp_path):
    registry(claim("A1", _half), claim("A2", _half, "two"))
    code, out, err = run("reproduce", "--out", str(tmp_path / "new" / "folder"))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.strip().startswith("A")] == ["A1", "A2"]
    assert all(word in out for word in ("Nie and Patel (2019)", "Title of A1", "1.5", "0.0e+00", "holds", "corrected"))
    assert "2 claims: 1 hold, 1 hold as corrected here, 0 fail" in err
    assert (tmp_path / "new" / "folder" / "index.html").is_file()


def test_the_games_of_the_claims_are_made_in_double_precision(tmp_path):
    code = """
import sys, jax
from gandyn.cli import run
assert run(["reproduce", "unknown", "--out", sys.argv[1]]) == 2
from gandyn.claims import _charts
kinds = {leaf.dtype for leaf in jax.tree.leaves((_charts._GAN, _charts._REST)) if isinstance(leaf, jax.Array)}
assert {kind.itemsize for kind in kinds if kind.kind == "f"} == {8}, kinds
"""
    python = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert python.returncode == 0, python.stderr


def test_a_claim_that_fails(run, registry, tmp_path):
    registry(claim("A1", _half), claim("B1", _wrong), claim("B2", _broken))
    code, out, err = run("reproduce", "--json", "--out", str(tmp_path))
    assert code == 1
    claims = json.loads(out)["claims"]
    assert [c["verdict"] for c in claims] == ["holds", "fails", "fails"]
    assert "these fail: B1, B2" in err
    assert "the game has gone" in run("reproduce", "B2", "--out", str(tmp_path))[1]


def test_claims_by_key_and_by_beginning(run, registry, tmp_path):
    registry(claim("A1", _half), claim("A10", _half), claim("B1", _half))
    for words, keys in ((("a1",), ["A1"]), (("A",), ["A1", "A10"]), (("B1", "A1"), ["A1", "B1"])):
        out = run("reproduce", *words, "--json", "--out", str(tmp_path))[1]
        assert [c["key"] for c in json.loads(out)["claims"]] == keys
    code, _, err = run("reproduce", "C1", "--out", str(tmp_path))
    assert code == 2
    assert "There is no claim 'C1'." in err
    assert "There are: A1, A10, B1." in err


def test_an_interrupt_leaves_the_finished_claims(run, registry, tmp_path):
    registry(claim("A1", _half), claim("A2", _stop), claim("A3", _half))
    code, out, err = run("reproduce", "--out", str(tmp_path))
    assert code == 130
    assert "A1" in out
    assert "A3" not in out
    assert "2 claims were not checked" in err
    assert [c["key"] for c in json.loads((tmp_path / "claims.json").read_text())["claims"]] == ["A1"]


def test_the_registry_holds_every_claim_once():
    assert len(ALL) > 20
    assert all(key == entry.key for key, entry in ALL.items())
    assert report.as_json([])["claims"] == []


# Lists


def test_list_names_everything(run):
    code, out, _ = run("list")
    assert code == 0
    for names in (_games.LIBRARY, _games.OBJECTIVES, _specs.PENALTIES, _specs.FIELDS, _specs.MAPS, ALL):
        assert all(f"  {name} " in out for name in names)


def test_list_leaves(run):
    out = run("list", "--leaves", "linear")[1]
    assert "  .real.mean          [0., 2.]" in out
    code, again, _ = run("list", "--leaves", "dirac")
    assert code == 0
    assert all(path in again for path in assembled("dirac").numbers)


# One's own games

OWN = """
import gandyn as gd


class Own(gd.AbstractGame):
    strength: float = 1.0

    def losses(self, x):
        return self.strength * x[0] * x[1], -self.strength * x[0] * x[1]


class Broken(gd.AbstractGame):
    def losses(self, x):
        return x.nothing, x[0]


def make():
    return pair


def fail():
    return 1 / 0


game = Own()
pair = Own(), (0.3, 0.4)
broken = Broken(), (0.3, 0.4)
number = 3
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


@pytest.mark.parametrize("name", ["game", "pair", "make", "Own"])
def test_games_of_ones_own(own, name):
    game, guess = _games.find(f"{own}:{name}")
    assert type(game).__name__ == "Own"
    assert (guess is None) == (name in ("game", "Own"))


def test_a_game_without_a_guess_starts_where_told(own):
    setup = assembled(f"{own}:game", at="0.1,-0.2", changes=(".strength=3",))
    assert isinstance(setup.guess, gd.Players)
    assert float(setup.flow.strength) == 3.0


def test_files_find_their_neighbours(own):
    (own.parent / "neighbour.py").write_text("from own import game\n")
    assert type(_games.find(f"{own.parent / 'neighbour.py'}:game")[0]).__name__ == "Own"
    assert str(own.parent) not in sys.path
    del sys.modules["own"]


OWN_ERRORS = {
    "pair --set .strength=x": ["'x' is no number"],
    "game": ["does not say where to look", "--at"],
    "number": ["is a int; a game or a flow is expected"],
    "gam": ["There is no game in", "Did you mean 'game'?", "There are: Own, Broken, make, fail, game, pair, broken, number."],
    "fail": ["own.py, line 22: return 1 / 0", "ZeroDivisionError: division by zero"],
    "broken": ["own.py, line 14: return x.nothing, x[0]", "Broken cannot be evaluated on the state"],
}


@pytest.mark.parametrize("words", OWN_ERRORS)
def test_what_is_wrong_with_ones_own_game(run, own, words, unchecked):
    first, *rest = words.split()
    code, out, err = run("stability", f"{own}:{first}", *rest)
    assert (code, out) == (2, "")
    assert all(message in err for message in OWN_ERRORS[words]), err
    assert "Traceback" not in err


BAD_FILES = {
    "x = (\n": ["bad.py, line 1: x = (", "SyntaxError"],
    "\nimport no_such_module\n": ["bad.py, line 2: import no_such_module", "No module named 'no_such_module'"],
    "raise SystemExit(3)\n": ["bad.py, line 1", "ended the program while it was imported"],
    "undefined.game\n": ["bad.py, line 1: undefined.game", "NameError: name 'undefined' is not defined"],
}


@pytest.mark.parametrize("source", BAD_FILES)
def test_files_that_fail_to_import(run, tmp_path, source):
    (tmp_path / "bad.py").write_text(source)
    code, out, err = run("stability", f"{tmp_path / 'bad.py'}:game")
    assert (code, out) == (2, "")
    assert all(message in err for message in BAD_FILES[source]), err


# Bad use

MISUSE = {
    "stabilty": 'Did you mean "stability"?',
    "stability": "requires an argument",
    "stability dirac --objectiv kl": "Did you mean --objective?",
    "stability dirac --noise much": "unable to convert",
    "stability dirca": "There is no game 'dirca'. Did you mean 'dirac'? There are: dirac, linear_scale",
    "stability dirac.py": "Say which game of the file is meant",
    "stability none.py:game": "There is no file none.py",
    "stability dirac --objective wasserstien": "There is no objective 'wasserstien'. Did you mean 'wasserstein'?",
    "stability quadratic --objective kl": "only a GAN has a formulation",
    "stability dirac --noise -1": "the standard deviation must not be negative; got -1.0",
    "stability quadratic --noise 1": "Quadratic holds none",
    "stability dirac --penalty r3=1": "There is no penalty 'r3'. There are: r1, r2, gp, weight_decay, proximal.",
    "stability dirac --penalty r1": "The penalty r1 needs a number, as in r1=0.3",
    "stability dirac --penalty r1=x": "--penalty r1=x: 'x' is no number",
    "stability dirac --penalty gp=1,form=cubic": "There is no form of a gradient penalty 'cubic'",
    "stability dirac --penalty proximal=1,norm=taxicab": "There is no norm of a discriminator 'taxicab'",
    "stability dirac --penalty r1=1,centre=1": "There is no setting of the penalty r1, 'centre'",
    "stability dirac --penalty r1=1,player=nobody": "no player 'nobody'; its players are ['generator', 'discriminator']",
    "stability dirac --field consensus=1,of=flow": "There are: game",
    "stability dirac --map adamw=1": "There is no map 'adamw'. Did you mean 'adam'? There are: simgd, altgd, extragradient",
    "stability dirac --map simgd=0": "step sizes must be positive and finite; got 0.0",
    "stability dirac --map altgd=1,steps=1:x": "give a whole number for each player",
    "stability dirac --map altgd=1,steps=1:0": "every player needs at least one step",
    "stability dirac --map altgd=1,order=a:b": "must name each of the players",
    "stability dirac --at nan,0": "The state has a non-finite entry",
    "stability dirac --at 1": "the state has 2 numbers",
    "stability dirac --set .real.atom=1": "Did you mean '.real.atoms'?",
    "stability dirac --set .real.masses=2": "must sum to 1; they sum to 2",
    "stability linear --set .real.covariance=-1": "a variance must not be negative",
    "stability linear --set .real.mean=1,2,3": "has shape (2,); give one number, or 2 of them",
    "stability dirac --out no/such/folder/x.json": "choose a file in a folder that exists and is writable",
    "sweep dirac": "--axis",
    "sweep dirac --axis r1=0:1:3": "There is no number of this system 'r1'. There are: .real.atoms",
    "sweep dirac --axis .real.atoms=0:1": "given as low:high:count",
    "sweep dirac --axis .real.atoms=0:1:3:log": "must be positive",
    "sweep dirac --axis .real.atoms=0:1:3 --axis .real.atoms=0:1:3": "one axis only",
    "sweep dirac --axis .real.atoms=0:1:3 --figure x.gif": "must end in .svg, .pdf or .png",
    "sweep dirac --axis .real.atoms=0:1:3 --out .": "choose a file in a folder",
    "sweep dirac --axis .real.atoms=0:1:3 --shard 1/2": "give --store as well",
    "sweep dirac --axis .real.atoms=0:1:3 --store x --shard 3/2": "give which part of how many, as in 3/16",
    "sweep dirac --axis .real.atoms=0:1:3 --store x --out y": "give one of them",
    "sweep dirac --axis .real.atoms=0:1:3 --chunk 0": "at least one cell",
    "sweep dirac --axis .real.atoms=0:1:3 --process 1": "give --distributed as well",
    "sweep dirac --axis .real.atoms=0:1:3 --distributed": "give --store, and no --shard",
    "sweep dirac --axis .real.atoms=0:1:3 --store x --distributed --coordinator node": "give host and port",
    "sweep dirac --axis .real.atoms=0:1:3 --quantity growths": "There is no quantity of a cell called 'growths'",
    "sweep dirac --map altgd=1 --axis h=1:2:3 --quantity critical_step": "known in closed form for the flow and for simgd",
    "sweep none.toml": "none.toml cannot be read",
    "sweep dirac --axis .real.atoms=0:1:3 --store /proc/none": "choose a folder that exists and is writable",
    "compare dirac": "--map",
    "compare dirac --map simgd=0.1 --map simgd=0.1": "one of them is there twice",
    "compare dirac --map simgd=0.1 --figure x.gif": "must end in .svg, .pdf or .png",
    "compare dirac --map momentum=0.1": "say how much momentum, as in momentum=0.2,beta=-0.3",
    "compare dirac --map momentum=0.1,beta=0.3,nesterov=yes": "nesterov takes no value",
    "compare dirac --map rk4=0.1:0.2": "this method has one step size for all players",
    "compare dirac --map lookahead=0.1,steps=2:3": "give one number of inner steps",
    "compare dirac --map adam=0.1,momentum=0.3": "There is no setting of the map adam, 'momentum'",
    "compare dirac --map adam=0.1,b1=x": "'x' is no number",
    "list --leaves nothing": "There is no game 'nothing'",
    "reproduce --out /proc/none/here": "choose another folder with --out",
}


@pytest.mark.parametrize("words", MISUSE)
def test_misuse_is_told_in_a_line(run, words, unchecked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert MISUSE[words] in " ".join(err.split()), err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch):
    def fail(*_):
        raise KeyError("ours")

    monkeypatch.setattr(_games, "choose", fail)
    with pytest.raises(KeyError, match="ours"):
        cli.run(["stability", "dirac"])
