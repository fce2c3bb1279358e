import json

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.cli._maps import MAPS
from gandyn.cli._options import System
from gandyn.cli._specs import assemble

# For each name one spec with every setting, and the map that is meant.
ORDER = ("discriminator", "generator")
SPECS = {
    "simgd=0.1:0.4": lambda flow: gd.SimGD(flow, (0.1, 0.4)),
    "altgd=0.1,steps=2:1,order=discriminator:generator": lambda flow: gd.AltGD(flow, 0.1, ORDER, (2, 1)),
    "extragradient=0.1": lambda flow: gd.ExtraGradient(flow, 0.1),
    "optimistic=0.1": lambda flow: gd.Optimistic(flow, 0.1),
    "momentum=0.1,beta=-0.3,nesterov,order=discriminator:generator": lambda flow: gd.Momentum(flow, 0.1, -0.3, True, ORDER),
    "lookahead=0.1,steps=3,alpha=0.7": lambda flow: gd.Lookahead(gd.SimGD(flow, 0.1), 3, 0.7),
    "proximal=0.1": lambda flow: gd.ProximalPoint(flow, 0.1),
    "implicit_midpoint=0.1": lambda flow: gd.Implicit(flow, 0.1, 0.5),
    "euler=0.1": lambda flow: gd.RungeKutta(flow, 0.1, gd.EULER),
    "midpoint=0.1": lambda flow: gd.RungeKutta(flow, 0.1, gd.MIDPOINT),
    "heun=0.1": lambda flow: gd.RungeKutta(flow, 0.1, gd.HEUN),
    "rk4=0.1": lambda flow: gd.RungeKutta(flow, 0.1, gd.RK4),
    "competitive=0.1": lambda flow: gd.Competitive(flow, 0.1),
    "ridge=0.1": lambda flow: gd.FollowTheRidge(flow, 0.1),
    "sgd=0.1,momentum=0.3,nesterov": lambda flow: _optax("sgd", flow, momentum=0.3, nesterov=True),
    "adam=0.1,b1=0.5,b2=0.9,eps=1e-3,eps_root=1e-2": lambda flow: _optax("adam", flow, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-2),
    "rmsprop=0.1,decay=0.8,eps=1e-2,momentum=0.2": lambda flow: _optax("rmsprop", flow, decay=0.8, eps=1e-2, momentum=0.2),
}


def _optax(name, flow, **numbers):
    return gd.Optax(flow, getattr(pytest.importorskip("optax"), name), learning_rate=0.1, **numbers)


def _players(*numbers):
    return gd.Players(*map(jnp.asarray, numbers))


def test_every_map_is_here():
    assert [spec.partition("=")[0] for spec in SPECS] == list(MAPS)


@pytest.mark.parametrize("spec", SPECS)
def test_a_map_by_its_name_steps_as_the_map(spec):
    setup = assemble("dirac", System(penalty=("r1=0.3",), step=spec))
    meant = SPECS[spec](setup.flow)
    state = setup.step.init(_players(0.3, -0.2))
    for _ in range(2):
        state = setup.step(state)
    other = meant.init(_players(0.3, -0.2))
    for _ in range(2):
        other = meant(other)
    # The same operations in the same order.
    np.testing.assert_array_equal(setup.step.point(state), meant.point(other))


def test_the_numbers_of_a_map_move_in_sweeps():
    adam = assemble("dirac", System(step="adam=0.1:0.2,b1=0.5,eps_root=1e-2"))
    assert [float(leaf) for leaf in adam.numbers["b1"].where(adam.step)[0]] == [0.5, 0.5]
    assert [float(leaf) for leaf in adam.numbers["h"].where(adam.step)[0]] == [0.1, 0.2]
    assert "b2" not in adam.numbers
    lookahead = assemble("dirac", System(penalty=("r1=0.3",), step="lookahead=0.1,steps=2,alpha=0.7"))
    assert float(lookahead.numbers["alpha"].where(lookahead.step)[0]) == pytest.approx(0.7)
    assert float(lookahead.numbers["r1"].where(lookahead.step)[0]) == pytest.approx(0.3)


def test_sweep_of_a_weight(run):
    # One inner step with alpha = 1 is SimGD itself, whose growth under R1 is log(1 - h gamma + h^2 / 4) / 2.
    words = ("--penalty", "r1=0.3", "--map", "lookahead=0.2,steps=1,alpha=1", "--axis", "alpha=0.5:1:2")
    code, out, _ = run("sweep", "dirac", *words)
    assert code == 0
    assert "stable       alpha from 0.5 to 1" in out
    assert f"growth {np.log(1 - 0.2 * 0.3 + 0.2**2 / 4) / 2:.8f}"[:17] in out


def test_compare_in_words_json_and_pictures(run, tmp_path):
    file, figure = tmp_path / "table.json", tmp_path / "table.svg"
    words = ("bilinear", "--map", "simgd=0.3", "--map", "extragradient=0.3", "--map", "extragradient=0.7")
    code, out, err = run("compare", *words, "--json", "--out", str(file), "--figure", str(figure))
    assert (code, err) == (0, "")
    document = json.loads(out, parse_constant=pytest.fail)
    assert document["settings"] == {"game": "bilinear", "map": ["simgd=0.3", "extragradient=0.3", "extragradient=0.7"]}
    assert document["comparison"]["type"] == "Comparison"
    assert figure.read_text().startswith("<?xml")
    kept = gd.load(file)
    assert kept.names == ("flow", "simgd", "extragradient=0.3", "extragradient=0.7")
    assert kept.verdicts == ("marginal", "unstable", "stable", "stable")
    code, out, err = run("compare", *words[:3])
    assert (code, err) == (0, "")
    # The growth of simultaneous descent on a rotation is log(1 + h^2) / 2.
    (row,) = [line.split() for line in out.splitlines() if line.startswith("simgd")]
    assert row[:3] == ["simgd", "0.3", f"{np.log(1.09) / 2:.6g}"]
    assert "unstable" in row


def test_compare_without_a_verdict_says_so_by_its_code(run):
    code, out, _ = run("compare", "dirac", "--penalty", "r1=0.3", "--map", "adam=0.1,eps_root=0")
    assert code == 1
    assert "failed" in out
