"""A training step does the arithmetic of the same step written by hand in JAX and optax, as `benchmarks/train.py` has it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SPEC = importlib.util.spec_from_file_location("train", Path(__file__).parents[2] / "benchmarks" / "train.py")
BENCHMARK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BENCHMARK)


@pytest.mark.parametrize("arm", BENCHMARK.ARMS)
def test_the_ring_costs_what_it_costs_by_hand(arm):
    ours, *_, point = BENCHMARK.in_gandyn(arm)
    hand, _ = BENCHMARK.by_hand(point, BENCHMARK.ARMS[arm])
    # A program twice differentiated by mistake costs tens in a hundred more.
    np.testing.assert_allclose(ours.cost_analysis()["flops"], hand.cost_analysis()["flops"], rtol=0.02)
