"""A container's log for people: one readable line for each JSON object, and every other line as it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tasks.admin.work.log_lines import shown_lines
from tasks.batch.logs import LogLine

AT = datetime(2026, 11, 30, 12, 3, 5, tzinfo=UTC)


def shown(text: str) -> tuple[str, str, str, str]:
    """Return level, clock with event, fields and further lines of one line."""
    (line,) = shown_lines([LogLine(AT, text)])
    return line.level, f"{line.clock} {line.event}", line.fields, line.more


def test_line_is_event_and_fields_when_it_is_json() -> None:
    text = json.dumps(
        {
            "time": "2026-11-30T12:03:04.993+00:00",
            "level": "INFO",
            "logger": "tasks.container.program",
            "event": "UNIT_DONE",
            "job_id": "9e7074fe",
            "attempt": 1,
            "kind": "video",
            "index": 3,
            "text": "all done",
            "ok": True,
        }
    )
    assert shown(text) == ("", "12:03:04 unit done", 'kind=video index=3 text="all done" ok=true', "")


def test_line_has_level_and_traceback_when_it_is_an_error() -> None:
    text = json.dumps({"level": "ERROR", "event": "CONTAINER_ERROR no room", "traceback": "Traceback\n  here"})
    assert shown(text) == ("ERROR", "12:03:05 container error no room", "", "Traceback\n  here")


def test_line_is_shown_as_it_is_when_it_is_no_json_object() -> None:
    for text in ("Killed", "[1, 2]", '{"a": 1}', '{"event": '):
        assert shown(text) == ("", f"12:03:05 {text}", "", "")


def test_line_has_the_time_of_the_log_when_its_own_is_damaged() -> None:
    for time in ("2026-13-45T00:00:00Z", "yesterday", None, "2026-11-30T10:00:00"):
        assert shown(json.dumps({"time": time, "event": "Plain words"})) == ("", "12:03:05 Plain words", "", "")
