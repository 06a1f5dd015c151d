"""One word per thing: the synonyms that would blur DESIGN-level words appear nowhere in code, templates or docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_PLACES = (
    "tasks",
    "project",
    "scripts",
    "worker_image",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "Procfile",
    "manage.py",
)
_SPEAKS_OF_OTHERS = {"docs/words.md", "docs/migrating.md"}
"""Pages whose subject is the synonyms themselves, or the words of another system."""

_BANNED = {
    r"chunk(?!s\()": "unit",  # Django's File.chunks() is not ours to name
    r"rendition": "rung",
    r"janitor": "reap",
    r"sweeper?\b": "tick",
    r"keep-?alive(?!=|s)": "heartbeat",
    r"(batch|transcode|video|encoding) worker": "container",
    r"transcode task": "job",
    r"try number|run number": "attempt",
    r"tenant": "nothing: the app knows no tenants",
}


def _texts() -> list[tuple[str, str]]:
    files = [
        path
        for place in _PLACES
        for path in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
        if path.suffix in {".py", ".md", ".html", ".sh", ".css", ".js", ""} and path.is_file()
    ]
    named = [(str(path.relative_to(ROOT)), path) for path in files if "__pycache__" not in path.parts]
    return [(name, path.read_text()) for name, path in named if name not in _SPEAKS_OF_OTHERS]


@pytest.mark.parametrize("pattern", list(_BANNED))
def test_one_word_per_thing_when_somebody_uses_a_synonym(pattern: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line, re.IGNORECASE) and "socket_keepalive" not in line
    ]
    assert not found, f"say {_BANNED[pattern]}"


def test_no_module_without_a_subject_when_somebody_needs_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common", "core", "base"}
    modules = [path for place in ("tasks", "project", "scripts") for path in (ROOT / place).rglob("*.py")]
    assert not [path for path in modules if path.stem in drawers]


def test_modules_stay_small_when_the_project_grows() -> None:
    modules = [
        path
        for place in ("tasks", "project", "scripts", "worker_image")
        for path in (ROOT / place).rglob("*.py")
        if "migrations" not in path.parts and path.name != "__init__.py"
    ]
    lengths = sorted((len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for path in modules)
    assert lengths[len(lengths) // 2][0] <= 130, "the median module"
    too_long = [entry for entry in lengths if entry[0] > 320]
    assert not too_long


def test_lists_of_packages_name_no_registry_when_they_are_written_anew() -> None:
    lists = [
        *ROOT.glob("requirements*.txt"),
        *ROOT.glob("tasks/**/package-lock.json"),
        *ROOT.glob("tests/**/package-lock.json"),
    ]
    assert len(lists) >= 5
    assert not [path for path in lists if "://" in path.read_text()]
