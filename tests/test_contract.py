"""The contract: one list of systems, and what must hold of each of them."""

import functools
import inspect
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd
from gandyn import _tree

o, P = gd.objectives, gd.Players
OBJECTIVES = {name: thing for name, thing in vars(o).items() if isinstance(thing, gd.AbstractObjective)}


class Trio(NamedTuple):
    a: object
    b: object
    c: object


class Chase(gd.AbstractGame):
    """A game of one's own: three players, the second of whom has two parameters."""

    speed: float

    def losses(self, x):
        a, b, c = x
        return (self.speed * a * b[0] - a**2 / 2, jnp.sum(b**2) * c, jnp.sin(c) * a * b[1])


class VanDerPol(gd.AbstractFlow):
    """A flow of one's own on a dictionary."""

    mu: float

    def __call__(self, x):
        return {"q": x["p"], "p": self.mu * (1 - x["q"] ** 2) * x["p"] - x["q"]}


def networks():
    one, two = jax.random.split(jax.random.key(0))
    return (
        gd.network(eqx.nn.MLP(1, 2, 3, 1, activation=jnp.tanh, key=one)),
        gd.network(eqx.nn.MLP(2, "scalar", 3, 1, activation=jnp.tanh, key=two)),
    )


def network_gan():
    (_, generator), (_, discriminator) = networks()
    data = gd.Discrete([[0.5, 0.0], [0.0, -0.5]])
    return gd.GAN(generator, discriminator, data, gd.Gaussian([0.0], 1.0, 3), o.nonsaturating)


def shift(b, z):
    return b + z


def square(w, x):
    return w * x**2


def mixture_gan():
    data = gd.Mixture((gd.Uniform(0.0, 1.0, 3), gd.Discrete([2.0])))
    return gd.GAN(shift, square, data, gd.Gaussian(0.0, 1.0, 3), o.minimax)


def redraw(key, step):
    """Another step size each time."""
    return eqx.tree_at(lambda s: s.h, step, step.h * jax.random.uniform(key, dtype=step.h.dtype))


def upwards(x):
    return x.generator


def step_size(step):
    return step.h


class Halving(eqx.Module):
    """A schedule with a number of its own."""

    start: float

    def __call__(self, clock):
        return self.start * jnp.exp2(-clock.astype(self.start.dtype))


DIRAC, PAIR = P(0.3, -0.2), P((0.9, 0.1), (0.2, -0.3))
TRANSPORT = P((jnp.array([[0.9, 0.1], [0.2, 0.4]]), jnp.array([0.1, 0.3])), (jnp.array([0.2, 0.1, -0.3]), jnp.array([0.4, 0])))
PLANE = P(jnp.array([0.2, 1.5]), jnp.array([0.3, -0.4]))

dirac, plane = gd.games.dirac, gd.games.linear
damped = functools.partial(gd.games.quadratic, 0.3, 1.0, 0.2)


def nested():
    game = dirac()
    return gd.jare(gd.consensus(gd.Penalised(game, gd.r1, 0.3), 0.1, of=game), 0.2)


# Every system by name: how to make it, and a point of its phase space where it is smooth.
SYSTEMS = {
    **{f"dirac, {name}": (functools.partial(dirac, thing), DIRAC) for name, thing in OBJECTIVES.items()},
    "linear_scale": (gd.games.linear_scale, DIRAC),
    "uniform": (gd.games.uniform, DIRAC),
    "uniform_affine": (gd.games.uniform_affine, PAIR),
    "linear": (plane, PLANE),
    "segment": (gd.games.segment, PAIR),
    "transport": (gd.games.w2_gaussian, PAIR),
    "transport in the plane": (lambda: gd.instance_noise(gd.games.w2_gaussian([4.0, 0.25]), 0.5), TRANSPORT),
    "vanilla": (gd.games.vanilla_gaussian, P((0.9, 0.1), (0.2, -0.3, 0.4))),
    "kinked": (gd.games.lipschitz_gaussian, P((0.9, 0.1), 0.2)),
    "bilinear": (gd.games.bilinear, DIRAC),
    "quadratic": (lambda: gd.games.quadratic(np.eye(2), np.ones((2, 2)), 0.1), PLANE),
    "networks": (network_gan, P(*(parameters for parameters, _ in networks()))),
    "three players": (lambda: Chase(0.7), Trio(0.4, jnp.array([0.3, -0.8]), 1.2)),
    "van der Pol": (lambda: VanDerPol(0.7), {"q": 0.5, "p": -1.5}),
    "oscillator": (lambda: gd.textbook.VanDerPol(0.7), jnp.array([0.5, -1.5])),
    "normal form": (lambda: gd.textbook.StuartLandau(0.7, 2.0, 0.3), jnp.array([0.5, -1.5])),
    "brusselator": (gd.textbook.Brusselator, jnp.array([0.5, 1.5])),
    "lorenz": (gd.textbook.Lorenz, jnp.array([0.5, 1.5, 2.0])),
    "rossler": (gd.textbook.Rossler, jnp.array([0.5, 1.5, 0.3])),
    "mixture": (mixture_gan, DIRAC),
    "r1": (lambda: gd.Penalised(plane(), gd.r1, 0.3), PLANE),
    "r2": (lambda: gd.Penalised(plane(), gd.r2, 0.3), PLANE),
    "two-sided": (lambda: gd.Penalised(dirac(), gd.gradient_penalty(1.0), 0.3), DIRAC),
    "one-sided": (lambda: gd.Penalised(dirac(), gd.gradient_penalty(0.1, gd.one_sided, gd.on_real), 0.3), DIRAC),
    "quartic": (lambda: gd.Penalised(dirac(), gd.gradient_penalty(1.0, gd.quartic, gd.on_generated), 0.3), DIRAC),
    "weight decay": (lambda: gd.Penalised(dirac(), gd.weight_decay, 0.3, ("generator", "discriminator")), DIRAC),
    "unrolled": (lambda: gd.Unrolled(dirac(), 2, 0.1), DIRAC),
    "proximal": (lambda: gd.Proximal(gd.Penalised(plane(), gd.r1, 0.3), 0.8, gd.sobolev), PLANE),
    "proximal training": (lambda: gd.ProximalTraining(dirac(), 0.8, 3, 0.2), DIRAC),
    "noise": (lambda: gd.instance_noise(gd.Penalised(dirac(), gd.r1, 0.3), 0.5), DIRAC),
    "consensus": (lambda: gd.consensus(dirac(), 0.1), DIRAC),
    "jare": (lambda: gd.jare(dirac(), 0.1), DIRAC),
    "nagarajan_kolter": (lambda: gd.nagarajan_kolter(dirac(), 0.1), DIRAC),
    "nested": (nested, DIRAC),
    "symplectic adjustment": (lambda: gd.SymplecticAdjustment(dirac(), 0.1), DIRAC),
    "time scales": (lambda: gd.TimeScaled(dirac(), P(1.0, 5.0)), DIRAC),
    "constrained": (lambda: gd.Constrained(dirac(), gd.Box(-1.0, 1.0)), DIRAC),
    "SimGD": (lambda: gd.SimGD(nested(), 0.1), DIRAC),
    "SimGD, two steps": (lambda: gd.SimGD(dirac(), P(0.1, 0.4)), DIRAC),
    "AltGD": (lambda: gd.AltGD(plane(), 0.1, order=("discriminator", "generator"), steps=(3, 1)), PLANE),
    "AltGD of three": (lambda: gd.AltGD(Chase(0.7), Trio(0.1, 0.2, 0.3)), Trio(0.4, jnp.array([0.3, -0.8]), 1.2)),
    "AltGD of networks": (lambda: gd.AltGD(network_gan(), 0.1), P(*(parameters for parameters, _ in networks()))),
    "extragradient": (lambda: gd.ExtraGradient(dirac(), 0.1), DIRAC),
    "optimistic": (lambda: gd.Optimistic(dirac(), 0.1), DIRAC),
    "lookahead": (lambda: gd.Lookahead(gd.AltGD(dirac(), 0.1), 3), DIRAC),
    "momentum": (lambda: gd.Momentum(dirac(), 0.1, -0.3, order=("generator", "discriminator")), DIRAC),
    "implicit": (lambda: gd.Implicit(damped(), 0.1, 0.5), DIRAC),
    "competitive": (lambda: gd.Competitive(damped(), 0.1), DIRAC),
    "follow the ridge": (lambda: gd.FollowTheRidge(damped(), 0.1), DIRAC),
    "Runge-Kutta": (lambda: gd.RungeKutta(dirac(), 0.1), DIRAC),
    "modified": (lambda: gd.Modified(gd.AltGD(dirac(), 0.1)), DIRAC),
    "adam": (lambda: gd.Optax(dirac(), optax.adam, learning_rate=0.01, b2=0.5, eps_root=1.0), DIRAC),
    "redrawn": (lambda: gd.Random(gd.SimGD(mixture_gan(), 0.1), redraw, jax.random.key(0)), DIRAC),
    "scheduled": (lambda: gd.Scheduled(gd.SimGD(dirac(), 0.1), step_size, Halving(0.1)), DIRAC),
    "iterated": (lambda: gd.Iterated(gd.SimGD(dirac(), 0.1), 3), DIRAC),
    "projected": (lambda: gd.Projected(gd.SimGD(dirac(), 0.1), gd.Box(-1.0, 1.0)), DIRAC),
    "time map": (lambda: gd.TimeMap(damped(), 0.7), DIRAC),
    "return map": (lambda: gd.PoincareMap(damped(), gd.Section(upwards)), DIRAC),
    "averaged": (lambda: gd.Averaged(gd.SimGD(dirac(), 0.1), 0.9), DIRAC),
}
# Several of optax's optimisers promote types of their own, and a flow of one's own may do as it likes.
LENIENT, OWN = ("adam",), ("van der Pol",)


def make(name):
    """A system and a state of it, as they arrive behind the door of a verb."""
    maker, point = SYSTEMS[name]
    system, point = _tree.system_arrays(maker()), _tree.state_arrays(point)
    return system, (_tree.state_arrays(system.init(point)) if isinstance(system, gd.AbstractMap) else point)


STEP = 1e-5
TRACES = []


# Without optimisation: forty programs that run a few times each.
@functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def probe(system, x, direction):
    """The image of a state, its derivative, and the images of three states at once."""
    TRACES.append(1)
    vector, unravel = _tree.ravel(x)

    def f(v):
        return _tree.ravel(system(unravel(v)))[0]

    lanes = jax.vmap(f)(jnp.stack([vector, vector + STEP * direction, vector - STEP * direction]))
    return *jax.jvp(f, (vector,), (direction,)), lanes


def direction(x):
    return jnp.asarray(np.random.default_rng(0).normal(size=_tree.size(x)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_compiles_maps_and_differentiates(name):
    system, x = make(name)
    TRACES.clear()
    image, slope, (lane, ahead, behind) = probe(system, x, direction(x))
    assert np.all(np.isfinite(image))
    # Lanes may sum in another order: a few roundings.
    np.testing.assert_allclose(lane, image, rtol=1e-12, atol=1e-14)
    # A central difference errs by about step^2 and by eps / step, 1e-10 each, times numbers of order one.
    np.testing.assert_allclose((ahead - behind) / (2 * STEP), slope, rtol=1e-7, atol=1e-8)

    # The same system made anew, with other numbers, at another state.
    again, x = make(name)
    again, x = jax.tree.map(lambda v: (1.01 * v).astype(v.dtype) if _tree.is_coordinate(v) else v, (again, x))
    moved = probe(again, x, direction(x))[0]
    assert len(TRACES) == 1
    assert float(jnp.abs(moved - image).max()) > 1e-4


def shapes(tree):
    return jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), tree)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_residual_keeps_structure_and_type(name):
    system, x = make(name)

    def residual(s, y):
        return shapes(jax.eval_shape(lambda t, z: t.residual(z), s, y))

    assert residual(system, x) == shapes(x)

    def single(tree):
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if _tree.is_coordinate(leaf) else leaf, tree)

    # A state of single precision stays so under a system of double precision.
    if name not in OWN:
        assert residual(system, single(x)) == shapes(single(x))
    # And in a system of single precision nothing is promoted on the way.
    with jax.numpy_dtype_promotion("standard" if name in LENIENT else "strict"):
        assert residual(single(system), single(x)) == shapes(single(x))


@pytest.mark.parametrize("name", SYSTEMS)
def test_switches_and_spectrum_are_answered(name):
    system, x = make(name)
    assert jax.eval_shape(lambda s, y: s.switches(y), system, x).ndim == 1
    inner, image = system.spectrum_of()
    assert isinstance(inner, gd.AbstractSystem)
    assert jnp.iscomplexobj(image(jnp.array([1j])))
    assert jnp.iscomplexobj(system.exponents(jnp.array([1j])))


def parts(node):
    """The types of a system and of everything inside it."""
    found = {type(node)}
    for child in vars(node).values() if isinstance(node, eqx.Module) else ():
        found |= parts(child)
    return found


def test_no_exported_system_is_left_out():
    exported = [*vars(gd.games).values(), *vars(gd.textbook).values(), *(getattr(gd, name) for name in gd.__all__)]
    systems = {thing for thing in exported if isinstance(thing, type) and issubclass(thing, gd.AbstractSystem)}
    final = {kind for kind in systems if not inspect.isabstract(kind)}
    tried = set().union(*(parts(maker()) for maker, _ in SYSTEMS.values()))
    assert final <= tried, f"add {sorted(kind.__name__ for kind in final - tried)} to SYSTEMS"
