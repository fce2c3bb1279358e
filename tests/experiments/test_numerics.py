"""The ring of the Numerics of GANs and that of Nie and Patel: their sizes, and first steps of every arm."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.experiments._nie_patel import RING_JARE
from gandyn.experiments._numerics import RING_CONSENSUS

TINY = {"width": 3, "depth": 2, "latent": 2, "batch": 4}
ARMS = [(ring, arm) for ring in (RING_CONSENSUS, RING_JARE) for arm in ring.arms]


def sizes(point):
    return tuple(sum(leaf.size for leaf in jax.tree.leaves(player)) for player in point)


@pytest.mark.parametrize(
    ("ring", "counted"),
    [
        # Four layers of 16: 16*16 + 16 each for the generator and three times for the discriminator; 2 in or out.
        (RING_CONSENSUS, (4 * 272 + 34, 48 + 3 * 272 + 17)),
        # Of 64 latent coordinates, four layers of 256.
        (RING_JARE, (65 * 256 + 3 * 257 * 256 + 257 * 2, 3 * 256 + 3 * 257 * 256 + 257)),
    ],
    ids=["consensus", "jare"],
)
def test_the_papers_sizes(ring, counted):
    start = ring.arms["plain"](ring.full, 0, jnp.float32)
    assert sizes(start.point) == counted
    assert {leaf.dtype for leaf in jax.tree.leaves(start.point)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(("ring", "arm"), ARMS, ids=[f"{ring.key}-{arm}" for ring, arm in ARMS])
def test_first_steps(ring, arm):
    setting = replace(ring.small, numbers={**ring.small.numbers, **TINY})
    start = ring.arms[arm](setting, 0, jnp.float32)
    first = start.step.init(start.point)
    last = gd.iterate(start.step, first, 3, every=3).final
    assert eqx.tree_equal(*(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), start.step.point(s)) for s in (first, last)))
    ends = map(jax.tree.leaves, (start.point, start.step.point(last)))
    moved = np.concatenate([np.ravel(b - a) for a, b in zip(*ends, strict=True)])
    # From a mean square of one, a step of RMSProp is below the rate over sqrt(0.1), whatever the gradient.
    assert 0 < np.max(np.abs(moved)) <= 3 * setting.rate / 0.1**0.5 * (1 + 1e-4)
