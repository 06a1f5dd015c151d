"""docs/reference/settings.md lists every setting with its default in the code."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from tasks.conf import BridgeSettings

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
READERS = {"env", "environ", "environment"}
"""Names that programs read the environment from: django-environ's reader, os.environ or a copy."""


def table(heading: str) -> dict[str, str]:
    """Return name and default of each row of the table under a heading."""
    section = PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([A-Za-z_0-9]+)` \| (.+?) \|", section, re.MULTILINE))


def read_in(source: str) -> set[str]:
    """Return the environment variables that a module reads, by a literal or a module constant."""
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
        reader_name = reader.attr if isinstance(reader, ast.Attribute) else getattr(reader, "id", "")
        if reader_name in READERS and name.isupper():
            names.add(name)
    return names


def plain_defaults(source: str) -> dict[str, object]:
    """Return name -> default of text, number and boolean settings with a literal default."""
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


def test_every_bridge_setting_is_documented_when_one_is_added() -> None:
    documented = {name: json.loads(default.strip("`")) for name, default in table("The bridge").items()}
    assert documented == asdict(BridgeSettings())


def test_every_environment_variable_is_documented_when_one_is_added() -> None:
    modules = [path for folder in ("project", "tasks") for path in (ROOT / folder).rglob("*.py")]
    outside = [path for path in modules if not path.is_relative_to(ROOT / "project" / "local")]
    read = set().union(*(read_in(path.read_text()) for path in outside))
    assert {"SECRET_KEY", "FFMPEG_BINARY", "FLOWER_BASIC_AUTH", "CONTAINER_DATABASE_PASSWORD"} <= read
    assert set(table("Environment variables")) == read


def test_every_literal_default_is_documented_when_it_changes() -> None:
    defaults = plain_defaults((ROOT / "project" / "settings.py").read_text())
    assert {"HTTPS", "DATABASE_URL", "REDIS_URL", "LOG_LEVEL"} <= set(defaults)
    documented = table("Environment variables")
    for name, default in defaults.items():
        expected = (
            "empty" if default in {None, ""} else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        assert documented[name].startswith(expected), name
