"""The words of the project: plain English, one word for one thing (docs/glossary.md), modules with a subject."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT_SUFFIXES = {".py", ".md", ".html", ".css", ".js", ".sh", ".tf", ".tftpl", ".json", ".toml", ".yml", ""}
OWN_WORDS = {"tests/unit/test_words.py"}
"""This list itself."""

BANNED = {
    # What no native-speaking engineer would write.
    r"mend(s|ed|ing)?": "fix, repair",
    r"amiss|unwell": "wrong, out of sync, failed",
    r"anew|for ever|seldom|handfuls?|oblong": "again, forever, rarely, anamorphic",
    r"bears?|hurry|hurries|wish(es)?|neighbou?r(s|ing)?": "survive, shut down, request, other slots",
    r"somebody|anybody|whoever": "someone, anyone, a caller that",
    r"told|tells|hears?|heard|knows|believes?|believed|says|said": "reports, receives, contains, accepts",
    r"so many|so long|goes on|go on|went on|at work|whose turn": "the number, how long, continues, running",
    r"looks? at|looked at|beside": "checks, next to",
    r"(is|was|are|were) away": "is unavailable, cannot be reached",
    # One word for one thing.
    r"executions?(?! role)": "attempt",
    r"charged": "counted",
    r"parked": "DEAD",
    r"verdicts?|last words?": "final status",
    r"doubt(s|ful)?": "ambiguous",
    r"strays?|leftovers?": "orphan",
    r"sentences?": "message",
    r"sounds?": "audio",
    r"pictures?": "frame, image, thumbnail",
    r"patience|patiently": "retry, deadline",
    r"workshop": "context",
    r"tid(y|ied|ies|ying)|untidied": "prune",
    r"overlooked": "missing job",
    r"chunks?(?!s\()|shard": "unit",
    r"janitor|sweeper": "reap, tick",
    r"keep-?alive(?!=|s)": "heartbeat",
    r"(batch|transcode|video|encoding) worker": "container",
    r"transcode task": "job",
    r"try number|run number": "attempt",
    r"tenant": "nothing: the app has no tenants",
}
WHERE = re.compile(r"\b(None|True|False|empty|Error) where\b", re.IGNORECASE)
"""The conditional is "if" or "when"."""

QUOTED = {
    '"execution"': "the key of ECS's execution role in Terraform",
    "execution = ": "as above",
    "document.execution": "as above",
    "execution resource retrieval": "a text of ECS",
    "Execution Time": "a key of PostgreSQL",
    "flags=neighbor": "a scaler of ffmpeg",
    "socket_keepalive": "a name of redis-py",
    '"keep-alive"': "a header of HTTP",
    "keepalive = 75": "a setting of Gunicorn",
    "cfg.keepalive": "as above",
    "_keepalive_after": "a method of Gunicorn",
    ".chunks(": "a method of Django's files",
    "Transfer-Encoding": "a header of HTTP",
    "picture-in-picture": "the name of a function of browsers",
    "icture in picture": "as above, in media-chrome's texts",
    "picture_type": "a name of PyAV",
    "to_ndarray": "a name of PyAV",
}
"""Text of others that a line may quote, and whose it is."""


def texts() -> list[tuple[str, str]]:
    """Return path and text of every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git of this machine
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and name not in OWN_WORDS]
    paths = [(name, ROOT / name) for name in names if Path(name).suffix in TEXT_SUFFIXES]
    return [(name, path.read_text()) for name, path in paths if path.is_file() and "/migrations/" not in name]


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """Return "path:line" and the text of every line."""
    return [
        (f"{name}:{number}", line)
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if not any(quoted in line for quoted in QUOTED)
    ]


@pytest.mark.parametrize("pattern", list(BANNED))
def test_words_are_plain_and_one_for_one_thing_when_text_is_added(pattern: str, lines: list[tuple[str, str]]) -> None:
    banned = re.compile(rf"(?<![\w-])({pattern})(?![\w-])", re.IGNORECASE)
    found = [f"{place}: {line.strip()[:120]}" for place, line in lines if banned.search(line)]
    assert not found, f"write {BANNED[pattern]}"


def test_conditions_say_if_when_a_docstring_is_added(lines: list[tuple[str, str]]) -> None:
    assert not [f"{place}: {line.strip()}" for place, line in lines if WHERE.search(line)]


def test_modules_have_a_subject_when_one_is_added() -> None:
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
    # The settings object is a list, and a list in several files would have to be searched.
    too_long = [entry for entry in lengths if entry[0] > 320 and entry[1] != "tasks/conf.py"]
    assert not too_long


def test_folders_read_like_a_table_of_contents_when_a_module_is_added() -> None:
    folders: dict[Path, int] = {}
    for place in ("tasks", "project"):
        for path in (ROOT / place).rglob("*.py"):
            if path.name != "__init__.py" and "migrations" not in path.parts:
                folders[path.parent] = folders.get(path.parent, 0) + 1
    crowded = {str(folder.relative_to(ROOT)): modules for folder, modules in folders.items() if modules > 12}
    assert not crowded


def test_app_imports_itself_relatively_when_a_module_is_added() -> None:
    # It is installed under another import name: migrations as well, into which makemigrations writes the one here.
    absolute = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "tasks").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.match(r"\s*(from|import) tasks\b", line)
    ]
    assert not absolute


def test_lists_of_packages_name_no_registry_when_they_are_locked_again() -> None:
    lists = [
        *ROOT.glob("requirements*.txt"),
        *ROOT.glob("tasks/**/package-lock.json"),
        *ROOT.glob("tests/**/package-lock.json"),
    ]
    assert len(lists) >= 5
    assert not [path for path in lists if "://" in path.read_text()]
