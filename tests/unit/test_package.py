"""The app can be installed under another import name, complete. tests/integration/test_wheel.py installs it."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
APP = ROOT / "tasks"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEVER_INSTALLED = {"frontend"}
"""Folders of the app that only a checkout needs."""


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are not docstrings, nor a command for people who have a checkout."""
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            match parent, node:
                case ast.Expr(), _:
                    pass
                case _, ast.Constant(value=str(text)) if "in a checkout" not in text:
                    yield node


def test_app_names_no_module_of_itself_or_the_project_when_it_runs() -> None:
    # They would not exist in a site that has installed it. A docstring may name them as the repository does.
    modules = "|".join(path.stem for path in APP.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py")
    absolute = re.compile(rf"\b(tasks\.({modules})\b|project\.[a-z])|^-m tasks|^tasks$")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in APP.rglob("*.py")
        for node in strings(ast.parse(path.read_text()))
        if absolute.search(str(node.value))
    ]
    assert not found


def test_every_folder_with_modules_is_a_package_when_one_is_added() -> None:
    # setuptools would leave the others out of the wheel, without an error.
    folders = {path.parent for path in APP.rglob("*.py") if "node_modules" not in path.parts}
    assert len(folders) >= 30
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_every_other_file_is_package_data_when_one_is_added() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["batchreel"]
    installed = {path for pattern in patterns for path in APP.glob(pattern)}
    others = {
        path
        for path in APP.rglob("*")
        if path.is_file()
        and path.suffix not in {".py", ".pyc"}
        and path.relative_to(APP).parts[0] not in NEVER_INSTALLED
    }
    assert len(others) >= 15
    assert not others - installed


def test_changelog_has_the_version_when_it_is_raised() -> None:
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert tasks.__version__ in newest
