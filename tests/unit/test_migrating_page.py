"""docs/migrating.md and other pages name only existing commands, log events, functions and files."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands

from tasks.models import Attempt, Job, Video

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "migrating.md").read_text()
CODE = "\n".join(path.read_text() for path in (ROOT / "tasks").rglob("*.py"))


def replacements() -> list[str]:
    """Return the second column of every table: what replaces an old name."""
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| old")]
    return [row[1] for row in rows]


def test_every_documented_command_exists_when_commands_are_renamed() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"manage\.py ([a-z_]+)", page.read_text())}
    assert {"check", "doctor", "migrate", "register_job_definition", "sync_schedule"} <= named
    assert named <= set(get_commands())


def test_every_documented_log_event_exists_when_code_changes() -> None:
    words = {word for cell in replacements() for word in re.findall(r"`([A-Z]+_[A-Z_]+)`", cell)}
    assert "BATCH_SUBMIT_AMBIGUOUS" in words
    assert [word for word in words if f'"{word}"' not in CODE and f'"{word} ' not in CODE] == []


def test_every_documented_event_kind_exists_when_code_changes() -> None:
    kinds = {kind for cell in replacements() for kind in re.findall(r"event `([a-z]+\.[a-z_]+)`", cell)}
    assert "job.dead" in kinds
    assert [kind for kind in kinds if f'"{kind}"' not in CODE] == []


def test_every_documented_function_and_file_exists_when_code_moves() -> None:
    paths = {path for cell in replacements() for path in re.findall(r"`(tasks/[a-z_/]+\.py)`", cell)}
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    called = re.findall(r"`([a-z_]+)` in `(tasks/[a-z_/]+\.py)`", PAGE)
    assert called
    assert [name for name, path in called if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_documented_column_exists_when_models_change() -> None:
    section = PAGE.split("## Rows", 1)[1].split("\n## ", 1)[0]
    cells = [line.split(" | ")[1] for line in section.splitlines() if re.match(r"\| (Video|job): ", line)]
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    columns = {field.name for model in (Video, Job, Attempt) for field in model._meta.get_fields()}
    assert {"playlist_key", "batch_job_id"} <= named
    assert named <= columns
