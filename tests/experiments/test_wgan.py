"""The Wasserstein GAN on the ring: its sizes, first steps of every arm, and what bounds the discriminator."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.experiments._wgan import WGAN

TINY = replace(WGAN.small, numbers={**WGAN.small.numbers, "width": 3, "depth": 2, "batch": 4, "critic": 2})


def test_the_papers_sizes():
    start = WGAN.arms["clipping"](WGAN.full, 0, jnp.float32)
    sizes = tuple(sum(leaf.size for leaf in jax.tree.leaves(player)) for player in start.point)
    # Three layers of 512 from two coordinates; two out, or one.
    assert sizes == (3 * 512 + 2 * 513 * 512 + 513 * 2, 3 * 512 + 2 * 513 * 512 + 513)


@pytest.mark.parametrize("arm", WGAN.arms)
def test_first_steps(arm):
    start = WGAN.arms[arm](TINY, 0, jnp.float32)
    end = start.step.point(gd.iterate(start.step, start.step.init(start.point), 3, every=3).final)
    assert jax.tree.map(jnp.shape, end) == jax.tree.map(jnp.shape, start.point)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(end))
    largest = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(end.discriminator))
    if arm == "clipping":
        assert largest == pytest.approx(TINY.bound, rel=1e-6)
    else:
        assert largest > TINY.bound
