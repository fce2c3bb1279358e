import os
import re
import sys
from importlib import metadata
from pathlib import Path

import jax

import gandyn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `gandyn` in executed pages

project = "gandyn"
author = "The gandyn authors"
copyright = "2026, The gandyn authors"  # noqa: A001
version = release = metadata.version("gandyn")

extensions = [
    "mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
default_role = "code"
exclude_patterns = ["_build", "_ext", "generated/gallery/*.ipynb", "generated/gallery/*.py"]

html_theme = "furo"
html_title = f"gandyn {version}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["gandyn.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove-warn"
nb_merge_streams = True

jax.Array.__name__ = "Array"  # or every annotation reads `jaxlib._jax.Array`
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["generated/gallery"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "capture_repr": (),
    "run_stale_examples": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "image_scrapers": ("matplotlib",),
}


def refuse_unexecuted_python(_app, name, source):
    if "```python" in source[0]:
        raise ValueError(f"{name}: a Python block that is not a {{code-cell}} would never be run; make it one.")


def refuse_missing_names(_app, _env, _docnames):
    reference = " ".join(page.read_text(encoding="utf-8") for page in (HERE / "api").glob("*.md"))
    if missing := [name for name in gandyn.__all__ if not re.search(rf"gandyn\.{name}\b", reference)]:
        raise ValueError(f"docs/api does not mention {missing}.")


def setup(app):
    app.connect("env-before-read-docs", refuse_missing_names)
    app.connect("source-read", refuse_unexecuted_python)
