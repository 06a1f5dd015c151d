"""A container's log for people: `12:03:04 unit done kind=video index=3` instead of one JSON object for each line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.timezone import is_aware

from ...batch.logs import LogLine
from ...texts.times import local

_ON_THE_PAGE = frozenset({"time", "level", "logger", "event", "job_id", "attempt", "batch_job_id", "traceback"})
"""Fields that have their own place, or that are the same in each line of an attempt's log."""

_QUIET = frozenset({"", "DEBUG", "INFO"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """One line of the log."""

    clock: str
    level: str
    """WARNING or worse; empty for everything else."""
    event: str
    code: str
    """The event as it is in the log and in the documentation; empty if it is no code."""
    fields: str
    more: str
    """Further lines: a traceback."""


def shown_lines(lines: Iterable[LogLine]) -> list[ShownLine]:
    """Return the lines for people. A line that is no JSON object is shown as it is."""
    return [_shown(line) for line in lines]


def _shown(line: LogLine) -> ShownLine:
    try:
        found = json.loads(line.text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "event" not in found:
        return ShownLine(clock=_clock(line.at), level="", event=line.text, code="", fields="", more="")
    event, level = str(found["event"]), str(found.get("level", ""))
    code, _, text = event.partition(" ")
    is_code = code.isascii() and code.isupper()
    words = code.lower().replace("_", " ")
    return ShownLine(
        clock=_clock(_time(found) or line.at),
        level="" if level in _QUIET else level,
        event=f"{words} {text}".rstrip() if is_code else event,
        code=code if is_code else "",
        fields=" ".join(f"{name}={_value(value)}" for name, value in found.items() if name not in _ON_THE_PAGE),
        more=str(found.get("traceback") or ""),
    )


def _time(found: Mapping[str, Any]) -> datetime | None:
    try:
        moment = parse_datetime(str(found.get("time")))
    except ValueError:
        return None
    return moment if moment and is_aware(moment) else None


def _clock(moment: datetime) -> str:
    return date_format(local(moment), "H:i:s")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value or any(each in value for each in ' "=\n') else value
    return json.dumps(value, ensure_ascii=False)
