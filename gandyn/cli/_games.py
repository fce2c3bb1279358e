"""Games by name: those of the library, each with a guess, and those in files of one's own."""

import difflib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from .. import _tree, games, objectives
from .._system import AbstractFlow, AbstractGame, Players
from ..games._gan import GAN
from ..games._measure import AbstractMeasure
from ..objectives import AbstractObjective

OBJECTIVES = {name: value for name, value in vars(objectives).items() if isinstance(value, AbstractObjective)}

# Guesses, none of them an equilibrium: where the command line starts to look.
LIBRARY: dict[str, tuple[Callable[[], AbstractFlow], Players]] = {
    "dirac": (games.dirac, Players(0.1, -0.2)),
    "linear_scale": (games.linear_scale, Players(0.9, 0.1)),
    "uniform": (games.uniform, Players(0.9, 0.1)),
    "uniform_affine": (games.uniform_affine, Players((0.9, 0.1), (0.1, -0.1))),
    "linear": (games.linear, Players((0.1, 1.8), (0.1, -0.1))),
    "segment": (games.segment, Players((0.9, 0.1), (0.1, -0.1))),
    "w2_gaussian": (games.w2_gaussian, Players((0.9, 0.1), (0.1, -0.1))),
    "vanilla_gaussian": (games.vanilla_gaussian, Players((0.9, 0.1), (0.1, -0.1, 0.1))),
    "quadratic": (games.quadratic, Players(0.1, -0.2)),
    "bilinear": (games.bilinear, Players(0.1, -0.2)),
}

USER_FILES: set[str] = set()


def choose(name: str, options: Iterable[str], what: str) -> str:
    """The option called `name`, with hyphens for underscores allowed.

    Raises:
        ValueError: There is none; the message lists the options.
    """
    known = list(options)
    if name.replace("-", "_") in known:
        return name.replace("-", "_")
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"There is no {what} {name!r}.{hint} There are: {', '.join(known)}.")


def find(text: str) -> tuple[AbstractFlow, PyTree | None]:
    """The game of that name or in that file, and where to start looking for its equilibrium if that is known.

    Raises:
        ValueError: There is no such game, or what is there is none.
    """
    file, colon, name = text.rpartition(":")
    if colon and file:
        found = _from_file(Path(file), name)
    elif text.endswith(".py"):
        raise ValueError(f"Say which game of the file is meant, as in {text}:game.")
    else:
        factory, guess = LIBRARY[choose(text, LIBRARY, "game")]
        # The linear game has vectors where the others have numbers.
        found = factory(), Players(*map(jnp.array, guess)) if text == "linear" else guess
    game, guess = found if type(found) is tuple and len(found) == 2 else (found, None)
    if not isinstance(game, AbstractFlow):
        raise ValueError(
            f"{text} is a {type(game).__name__}; a game or a flow is expected, a pair (game, guess), or a function of no "
            "arguments that returns one."
        )
    return game, None if guess is None else _tree.state_arrays(guess)


def _from_file(file: Path, name: str) -> Any:
    if not file.is_file():
        raise ValueError(f"There is no file {file}. A game of one's own is given as path/to/file.py:name.")
    module = _module(file.resolve())
    public = [key for key, value in vars(module).items() if not key.startswith("_") and not isinstance(value, ModuleType)]
    found = vars(module)[choose(name, public, f"game in {file} called")]
    return found() if callable(found) and not isinstance(found, AbstractFlow) else found


def _module(file: Path) -> ModuleType:
    """The module in a file, run as `python file.py` runs it: with its neighbours in reach."""
    USER_FILES.add(str(file))
    name = f"gandyn_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise ValueError(f"{file} ended the program while it was imported (exit code {error.code}).") from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def formulated(game: AbstractFlow, objective: str | None) -> AbstractFlow:
    """The game with another formulation.

    Raises:
        ValueError: There is no such formulation, or the game is no GAN.
    """
    if objective is None:
        return game
    chosen = OBJECTIVES[choose(objective, OBJECTIVES, "objective")]
    if not any(isinstance(node, GAN) for node in _modules(game)):
        raise ValueError(f"--objective {objective}: only a GAN has a formulation; this game is a {type(game).__name__}.")

    def formulate(node: Any) -> Any:
        return eqx.tree_at(lambda gan: gan.objective, node, chosen) if isinstance(node, GAN) else node

    return jax.tree.map(formulate, game, is_leaf=lambda node: isinstance(node, GAN))


def _modules(tree: PyTree) -> list[eqx.Module]:
    """The module and all that it consists of."""
    parts = jax.tree.leaves(tree, is_leaf=lambda node: node is not tree and isinstance(node, eqx.Module))
    inner = [module for part in parts if isinstance(part, eqx.Module) for module in _modules(part)]
    return [tree, *inner] if isinstance(tree, eqx.Module) else inner


def changed(game: AbstractFlow, changes: tuple[str, ...]) -> AbstractFlow:
    """The game with other numbers, checked as if it had been made with them.

    Raises:
        ValueError: There is no such number, or the game cannot be made with it.
    """
    for change in changes:
        path, _, text = change.partition("=")
        path = choose(path, _tree.leaf_names(game), "number of this game")
        values = np.array([as_number(word, f"--set {change}") for word in text.split(",")])
        leaf = _tree.real(leaf_at(path)(game))
        if values.size not in (1, leaf.size):
            raise ValueError(f"--set {change}: {path} has shape {leaf.shape}; give one number, or {leaf.size} of them.")
        entries = np.full(leaf.shape, values[0]) if values.size == 1 else values.reshape(leaf.shape)
        game = eqx.tree_at(leaf_at(path), game, jnp.asarray(entries, leaf.dtype))
    for module in _modules(game) if changes else []:
        for check in [vars(kind)["__check_init__"] for kind in type(module).__mro__ if "__check_init__" in vars(kind)]:
            check(module)
        if isinstance(module, AbstractMeasure) and not abs(float(module.weights.sum()) - 1) < 1e-6:
            raise ValueError(
                f"--set: the weights of a {type(module).__name__} must sum to 1; they sum to {module.weights.sum()}."
            )
    return game


def leaf_at(path: str) -> Callable[[Any], Any]:
    """A lens to the leaf with this path."""
    return lambda tree: next(leaf for at, leaf in jtu.tree_leaves_with_path(tree) if jtu.keystr(at) == path)


def as_number(text: str, where: str) -> float:
    """The number that a word stands for.

    Raises:
        ValueError: It stands for none; `where` says where it was found.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: {text!r} is no number.") from None


def as_game(flow: AbstractFlow, option: str) -> AbstractGame:
    """The flow, which has to be a game.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(flow, AbstractGame):
        raise ValueError(f"{option} needs a game, whose losses it changes; this is a {type(flow).__name__}.")
    return flow
