"""One training step at the ring's full setting beside the same step by hand in plain JAX with optax, in interleaved pairs."""

import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.nn import log_sigmoid
from scipy.stats import binom

from gandyn.experiments._all import ALL

PAIRS, STEPS = 60, 10
RATE, BATCH = 1e-4, 512


def by_hand(point, objective):
    """The ring at the setting of Nagarajan and Kolter: the discriminator moves first, each move on a batch of its own."""
    rule = optax.adam(RATE, b1=0.5)
    ((one, _), centres) = point, 2.0 * jnp.stack([jnp.cos(jnp.arange(8) * jnp.pi / 4), jnp.sin(jnp.arange(8) * jnp.pi / 4)], 1)
    centres = centres.astype(jnp.float32)

    def layers(parameters):
        leaves = jax.tree.leaves(parameters)
        return list(zip(leaves[::2], leaves[1::2], strict=True))

    def perceptron(parameters, x):
        *hidden, (weight, bias) = layers(parameters)
        for w, b in hidden:
            x = jax.nn.relu(x @ w.T + b[None])
        return x @ weight.T + bias[None]

    def value(theta, psi, real, z):
        judged = [perceptron(psi, x / 4)[:, 0] for x in (real, perceptron(theta, z))]
        return log_sigmoid(judged[0]).mean() + log_sigmoid(-judged[1]).mean()

    def batch(key):
        real, latent = jax.random.split(key)
        which, around = jax.random.split(real)
        mode = jax.random.randint(which, (BATCH,), 0, 8)
        points = centres[mode] + 0.02 * jax.random.normal(around, (BATCH, 2), jnp.float32)
        return points, jax.random.normal(latent, (BATCH, layers(one)[0][0].shape[1]), jnp.float32)

    def step(theta, psi, memory, other, key):
        key, now = jax.random.split(key)
        data = batch(now)
        slope = jax.grad(lambda p: -value(theta, p, *data))(psi)
        updates, other = rule.update(slope, other)
        psi = optax.apply_updates(psi, updates)
        key, now = jax.random.split(key)
        data = batch(now)
        updates, memory = rule.update(jax.grad(lambda t: objective(value, t, psi, *data))(theta), memory)
        return optax.apply_updates(theta, updates), psi, memory, other, key

    start = (*point, rule.init(point[0]), rule.init(point[1]), jax.random.key(0))
    return jax.jit(step).lower(*start).compile(), start


def plain(value, theta, psi, *data):
    return value(theta, psi, *data)


def regularised(value, theta, psi, *data):
    found, slope = jax.value_and_grad(value, 1)(theta, psi, *data)
    return found + 0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(slope))


ARMS = {"plain": plain, "gradient norm": regularised}


def in_gandyn(arm):
    """The package's map as a compiled function, and its state."""
    start = ALL["ring"].arms[arm](ALL["ring"].full, 0, jnp.float32)
    arrays, rest = eqx.partition(start.step, eqx.is_array)
    state = start.step.init(start.point)
    step = jax.jit(lambda leaves, x: (eqx.combine(leaves, rest)(x),)).lower(arrays, state).compile()
    return step, arrays, (state,), start.point


def seconds(step, leading, state):
    """Of some steps, one after another."""
    begin = time.perf_counter()
    for _ in range(STEPS):
        state = step(*leading, *state)
    jax.block_until_ready(state)
    return (time.perf_counter() - begin) / STEPS


def main():
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, float32, {PAIRS} pairs of {STEPS} steps each")
    for arm, objective in ARMS.items():
        ours, arrays, state, point = in_gandyn(arm)
        hand, start = by_hand(point, objective)
        pairs = [(seconds(ours, (arrays,), state), seconds(hand, (), start)) for _ in range(PAIRS)]
        ratios = sorted(a / b for a, b in pairs)
        # Order statistics between which the median lies with a probability of 95%.
        low, high = (int(binom.ppf(q, PAIRS, 0.5)) for q in (0.025, 0.975))
        arithmetic = ours.cost_analysis()["flops"] / hand.cost_analysis()["flops"]
        print(
            f"{arm}: by hand {1e3 * statistics.median(b for _, b in pairs):.2f} ms a step; times gandyn's: "
            f"{np.median(ratios):.3f} [{ratios[low]:.3f}, {ratios[high]:.3f}]; arithmetic {arithmetic:.4f}"
        )


if __name__ == "__main__":
    main()
