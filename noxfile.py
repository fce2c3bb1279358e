"""Every check of the project, one session each: `nox -s lint types tests docs examples bench`."""

import re
from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests", "docs", "examples"]

PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str, package: bool = True) -> None:
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install(*requirements, *(["--editable", "."] if package else []))


def run_each(session: nox.Session, folder: str) -> None:
    scripts = [Path(name).resolve() for name in session.posargs] or sorted(Path(folder).resolve().glob("*.py"))
    session.chdir(session.create_tmp())
    for script in scripts:
        session.run("python", "-W", "error", str(script), env={"MPLBACKEND": "Agg"})


@nox.session
def lint(session: nox.Session) -> None:
    install(session, "lint", package=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("deptry", ".")


@nox.session
def types(session: nox.Session) -> None:
    if missing := [path for path in PYPROJECT["tool"]["pyright"]["include"] if not Path(path).exists()]:
        session.error(f"pyright is told to check {missing}, which does not exist")
    install(session, "types")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    install(session, "test")
    # A file stays with one worker, so that its tests share what they trace; what is compiled all of them share, and later runs.
    shared = str(Path(session.create_tmp()).resolve())
    cache = {"JAX_COMPILATION_CACHE_DIR": shared, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    session.run("pytest", "-n", "2", "--dist", "loadfile", *session.posargs, env=cache | {"MPLBACKEND": "Agg"})


@nox.session
def docs(session: nox.Session) -> None:
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    install(session)
    for code in re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL):
        session.run("python", "-c", code)
    run_each(session, "examples")


@nox.session
def bench(session: nox.Session) -> None:
    install(session, "bench")
    run_each(session, "benchmarks")
