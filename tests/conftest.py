"""What holds in every test: double precision, no shape promoted in silence, no window, few examples that never change."""

import gc
import os

# Compilation is what the tests wait for, which all that would make programs faster makes longer.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false",
)

import jax
import jaxtyping
import matplotlib
import pytest
from hypothesis import settings

# What is imported stays: without this a tenth of the time goes to collecting what JAX's traces leave behind.
gc.freeze()
gc.set_threshold(200_000, 20, 100)

matplotlib.use("Agg")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Not the strict promotion of types as well: a complex spectrum times a real step size is no accident. The contract
# (test_contract.py) has it where a silent promotion would do harm, in fields and maps.

settings.register_profile("gandyn", deadline=None, derandomize=True, max_examples=10)
settings.load_profile("gandyn")


@pytest.fixture(autouse=True, scope="module")
def _forget():
    """Drop a file's compiled programs after it: those of all files together exhaust what a process may map."""
    yield
    jax.clear_caches()


@pytest.fixture
def run(capsys):
    """The command line: its exit code, and what it wrote to stdout and to stderr."""
    # Not above: the type checker has to be there before the package is.
    from gandyn import cli

    def command(*words):
        return cli.run(words), *capsys.readouterr()

    return command


@pytest.fixture
def unchecked():
    """No type checker, so that an argument of the wrong type meets the package's own error."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
