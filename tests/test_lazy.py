"""Importing the package costs nothing: every name is loaded on first use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gandyn as gd

STUB = Path(gd.__file__).with_suffix(".pyi")

SCRIPT = """
import sys
import gandyn as gd

heavy = {"jax", "matplotlib", "numpy", "scipy", "diffrax", "equinox"}
assert not heavy & set(sys.modules), sorted(heavy & set(sys.modules))
assert set(gd.__all__) <= set(dir(gd)) and gd.__version__
assert not heavy & set(sys.modules), "dir() loads nothing"
gd.stability, gd.sweep, gd.games.dirac(), gd.objectives.minimax, gd.integrate
assert "jax" in sys.modules and "matplotlib" not in sys.modules
"""


def test_import_loads_neither_jax_nor_matplotlib():
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted({*gd.__all__, "__version__"}))
def test_every_name_resolves(name):
    assert getattr(gd, name) is getattr(gd, name)
    assert name in dir(gd) or name == "__version__"


def test_the_stub_lists_what_it_imports():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (listed,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    assert sorted(imported) == sorted(listed) == sorted(gd.__all__)


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="consensuss"):
        gd.consensuss  # noqa: B018
