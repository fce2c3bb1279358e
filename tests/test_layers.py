"""The import rule: the package is one ordered list, and a file imports only from files above it."""

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gandyn"

# The one list, from the bottom up. A folder is one room: its files may import one another as long as there is no cycle,
# and its `__init__` comes last. The package's own `__init__` loads names lazily and imports nothing.
ROOMS = (
    "_tree",
    "_results",
    "_provenance",
    "objectives",
    "_constraint",
    "_system",
    "textbook",
    "_evolve",
    "_field",
    "_march",
    "_integrate",
    "_section",
    "_crossing",
    "games",
    "fields",
    "maps",
    "analysis",
    "_json",
    "_record",
    "training",
    "plot",
    "claims",
    "experiments",
    "report",
    "cli",
    "__main__",
)
STRANGERS = ("games", "fields", "maps")

# Those who may use the package as a person does: `import gandyn as gd`.
GUESTS = ("claims", "experiments", "cli")

# What only some rooms may import.
ANALYSES = tuple(f"analysis/{name}" for name in ("_noise", "_lyapunov", "_cycle", "_family"))
INTEGRATING = ("_integrate", "_march", "_crossing", "maps/_return", *ANALYSES)
RESERVED = {
    "matplotlib": ("plot", "report"),
    "diffrax": INTEGRATING,
    "optax": ("maps", "experiments"),
    "zarr": ("analysis/_store",),
}
FORBIDDEN = ("jax._src", "equinox.internal")

# Whose functions may import, and why.
LATE = {"cli": "the command line answers --help at once", "training/_data": "the data of other packages are an extra"}

FILES = {str(path.relative_to(PACKAGE).with_suffix("")): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def room(name: str) -> str:
    return name.split("/")[0]


def imports(name: str, tree: ast.AST | None = None) -> list[str]:
    """Dotted names of everything imported; the package's own files begin with a dot, such as `.games._gan`."""
    found = []
    for node in ast.walk(TREES[name] if tree is None else tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = name.split("/")[: len(name.split("/")) - node.level]
            stem = [*folder, *(node.module.split(".") if node.module else [])]
            found += ["." + ".".join([*stem, alias.name]) for alias in node.names]
    return found


def target(dotted: str) -> str:
    """The file behind a relative import: the longest prefix that is a module or a package."""
    parts = dotted[1:].split(".")
    for end in range(len(parts), 0, -1):
        for name in ("/".join(parts[:end]), "/".join([*parts[:end], "__init__"])):
            if name in FILES:
                return name
    raise AssertionError(f"{dotted} is no file of the package")


def neighbours(name: str) -> set[str]:
    return {target(dotted) for dotted in imports(name) if dotted.startswith(".")}


def test_every_file_has_a_room():
    assert {room(name) for name in FILES} - set(ROOMS) == {"__init__"}


@pytest.mark.parametrize("name", FILES)
def test_imports_only_from_above(name):
    for other in neighbours(name):
        assert name != "__init__"
        assert ROOMS.index(room(other)) <= ROOMS.index(room(name)), f"{name} imports {other}, which lies below it"
        strangers = {room(name), room(other)} <= set(STRANGERS) and room(name) != room(other)
        assert not strangers, f"{name} imports {other}: games, fields and maps never import one another"


def test_no_cycles_not_even_late_ones():
    graph = {name: neighbours(name) for name in FILES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    for name in FILES:
        if name.endswith("/__init__"):
            users = [file for file in graph if name in graph[file] and room(file) == room(name)]
            assert not users, f"{users} import from their own room's front door"
    assert len(order) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_who_may_import_what(name):
    for dotted in imports(name):
        assert not dotted.startswith(FORBIDDEN), f"{name} imports the private {dotted}"
        if dotted.split(".")[0] == "gandyn":
            assert room(name) in GUESTS, f"{name} imports gandyn by its name"
        for package, rooms in RESERVED.items():
            assert dotted.split(".")[0] != package or room(name) in rooms or name in rooms, f"{name} imports {package}"


@pytest.mark.parametrize("name", FILES)
def test_no_import_hides_in_a_function(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = imports(name, node)
            assert not hidden or {name, room(name)} & LATE.keys(), f"{name} imports {hidden} inside {node.name}"
