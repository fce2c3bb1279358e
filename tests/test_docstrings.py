"""Everything public says what it is, and says it of the arguments that it has."""

import dataclasses
import inspect
import re
import types

import pytest

import gandyn as gd

NAMESPACES = {"gd": gd, "gd.games": gd.games, "gd.objectives": gd.objectives, "gd.plot": gd.plot, "gd.textbook": gd.textbook}


def public(namespace: types.ModuleType) -> list[str]:
    names = getattr(namespace, "__all__", None) or [name for name in dir(namespace) if not name.startswith("_")]
    return [name for name in names if _ours(getattr(namespace, name))]


def _ours(thing: object) -> bool:
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", "")
    return module.startswith("gandyn")


NAMES = [(where, name) for where, namespace in NAMESPACES.items() for name in public(namespace)]
THINGS = {f"{where}.{name}": getattr(NAMESPACES[where], name) for where, name in NAMES}
CLASSES = {name: thing for name, thing in THINGS.items() if inspect.isclass(thing)}
FUNCTIONS = {name: thing for name, thing in THINGS.items() if inspect.isfunction(thing)}


def members(kind: type) -> list[str]:
    """Public methods and properties defined by the class itself; a field's default may be a function, and is neither."""
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    found = []
    for name, value in vars(kind).items():
        described = isinstance(value, property | classmethod | staticmethod) or callable(value)
        if described and not name.startswith("_") and name not in fields and not inspect.isclass(value):
            found.append(name)
    return found


def sections(text: str) -> set[str]:
    """The arguments that a Google-style docstring describes."""
    block = re.search(r"^Args:\n((?:[ \t]+.*\n|\n)+)", text + "\n", re.MULTILINE)
    return set(re.findall(r"^    (\w+):", block.group(1), re.MULTILINE)) if block else set()


def test_there_is_something_to_check():
    assert len(CLASSES) > 20
    assert len(FUNCTIONS) > 40
    assert {"gd.games.dirac", "gd.plot.portrait", "gd.stability"} <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", THINGS)
def test_has_a_docstring(name):
    thing = THINGS[name]
    # An instance, such as gd.objectives.minimax, is described by its class.
    owner = thing if isinstance(thing, types.ModuleType) or callable(thing) else type(thing)
    text = inspect.getdoc(owner) or ""
    assert len(text) > 10
    # A dataclass without a docstring is given its signature.
    assert not text.startswith(f"{getattr(owner, '__name__', '')}(")
    assert text.splitlines()[0].rstrip().endswith((".", ":", "`"))


@pytest.mark.parametrize("name", CLASSES)
def test_methods_and_properties_have_docstrings(name):
    for member in members(CLASSES[name]):
        assert inspect.getdoc(getattr(CLASSES[name], member)), f"{name}.{member} says nothing"


@pytest.mark.parametrize("name", {**FUNCTIONS, **CLASSES})
def test_described_arguments_are_those_it_has(name):
    thing = THINGS[name]
    described = sections(inspect.getdoc(thing) or "")
    if not described:
        return
    taken = {p for p in inspect.signature(thing).parameters if not p.startswith("_")}
    assert described == taken, f"{name} takes {sorted(taken)} and describes {sorted(described)}"
