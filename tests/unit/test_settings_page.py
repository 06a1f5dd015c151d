"""docs/settings.md tells every setting, with the default that the code has."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from tasks.conf import BridgeSettings

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "settings.md").read_text()
READERS = {"env", "environ", "environment"}
"""What a program reads its environment from: django-environ's reader, os.environ, or a copy of that."""


def table(heading: str) -> dict[str, str]:
    """Name and default of each row of the table under a heading."""
    section = PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([A-Za-z_0-9]+)` \| (.+?) \|", section, re.MULTILINE))


def read_in(source: str) -> set[str]:
    """The environment variables that a module reads, by a name or by a constant of its own that holds one."""
    tree = ast.parse(source)
    constants: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=constant)], value=ast.Constant(value=str(text))):
                constants[constant] = text
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=reader), args=[ast.Constant(value=str(name)), *_]):
                pass
            case ast.Call(func=ast.Attribute(value=reader), args=[ast.Name(id=constant), *_]) if constant in constants:
                name = constants[constant]
            case ast.Subscript(value=reader, slice=ast.Constant(value=str(name))):
                pass
            case _:
                continue
        called = reader.attr if isinstance(reader, ast.Attribute) else getattr(reader, "id", "")
        if called in READERS and name.isupper():
            names.add(name)
    return names


def plain_defaults(source: str) -> dict[str, object]:
    """Name -> default of the settings that are read as text, number or switch, where the default is written out."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="env"), attr="str" | "bool" | "int" | "float"),
                args=[ast.Constant(value=str(name))],
                keywords=[ast.keyword(arg="default", value=ast.Constant(value=default))],
            ):
                found[name] = default
    return found


def test_every_number_and_name_of_the_bridge_is_told_with_its_default() -> None:
    told = {name: json.loads(default.strip("`")) for name, default in table("The bridge").items()}
    assert told == asdict(BridgeSettings())


def test_every_environment_variable_is_told() -> None:
    modules = [path for folder in ("project", "tasks") for path in (ROOT / folder).rglob("*.py")]
    outside = [path for path in modules if not path.is_relative_to(ROOT / "project" / "local")]
    read = set().union(*(read_in(path.read_text()) for path in outside))
    assert {"SECRET_KEY", "FFMPEG_BINARY", "FLOWER_BASIC_AUTH", "CONTAINER_DATABASE_PASSWORD"} <= read
    assert set(table("Environment variables")) == read


def test_every_plain_default_is_told_when_it_changes() -> None:
    defaults = plain_defaults((ROOT / "project" / "settings.py").read_text())
    assert {"HTTPS", "DATABASE_URL", "REDIS_URL", "LOG_LEVEL"} <= set(defaults)
    told = table("Environment variables")
    for name, default in defaults.items():
        words = (
            "empty" if default in {None, ""} else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        assert told[name].startswith(words), name
