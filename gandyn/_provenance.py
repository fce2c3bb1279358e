"""Where numbers come from: the environment that computed them, and fingerprints of what went in."""

import hashlib
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

_PACKAGES = ("gandyn", "jax", "jaxlib", "numpy", "equinox")


def environment() -> dict[str, Any]:
    """Where and when numbers are computed: versions, platform, precision and date."""
    return {name: metadata.version(name) for name in _PACKAGES} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def placeless(text: str) -> str:
    """A text without the places in memory that it names, which change from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def digest(tree: PyTree) -> str:
    """A fingerprint of a pytree: its structure, its types and every bit of its arrays."""
    leaves, structure = jax.tree.flatten(raw(tree))
    # Functions without arrays are known by name.
    found = hashlib.sha256(placeless(str(structure)).encode())
    for leaf in leaves:
        array = np.asarray(leaf) if isinstance(leaf, jax.Array | np.ndarray) else None
        text = placeless(repr(leaf)) if array is None else f"{array.dtype}{array.shape}"
        found.update(text.encode() + (b"" if array is None else np.ascontiguousarray(array).tobytes()))
    return found.hexdigest()


def raw(tree: PyTree) -> PyTree:
    """A pytree with the bits of random keys in their place."""

    def bits(leaf: Any) -> Any:
        return jax.random.key_data(leaf) if is_key(leaf) else leaf

    return jax.tree.map(bits, tree)


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a random key."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
