"""Texts of rows in the reader's language: why a job ended, warnings, events.

A row has the English text, and next to it a code or details from which the text is made here. Rows from
before a code existed, and texts of AWS, of ffmpeg or of errors, are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_noop, ngettext

from ..lifecycle.dead_message import Cause, dead_message
from ..lifecycle.reasons import Reason
from ..transcode import REJECTIONS, SOURCE_WARNINGS, rejection

DEAD = "DEAD"
"""`text` of the details of a DEAD job: with `reason`, and `causes` as pairs for `dead_message`."""

PHRASES = frozenset(
    {
        gettext_noop("automatic"),
        gettext_noop("manual"),
        gettext_noop("superseded publication"),
        gettext_noop("two lookups did not find the Batch job"),
        gettext_noop("outside Batch"),
        gettext_noop("the row no longer existed"),
    }
)
"""Complete texts of events."""

LABELS = (
    gettext_noop("Units in progress at the end of each of them:"),
    gettext_noop("Units in progress:"),
    gettext_noop("Last attempt:"),
    gettext_noop("Stage:"),
    gettext_noop("not counted:"),
    gettext_noop("counted:"),
    gettext_noop("helps attempt"),
    gettext_noop("links:"),
    gettext_noop("In RUNNABLE for over"),
)
"""What texts of events have before a fact."""

_FACTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\w+) (\d+) by attempt (\d+)"), gettext_noop("{} {} by attempt {}")),
    (
        re.compile(r"(\d+) of (\d+) running containers are silent, but AWS Batch reports RUNNING\."),
        gettext_noop("{} of {} running containers are silent, but AWS Batch reports RUNNING."),
    ),
    (re.compile(r"(\S+) no longer occurs$"), gettext_noop("{} no longer occurs")),
    (re.compile(r"^endpoint (\d+):"), gettext_noop("endpoint {}:")),
)
"""Texts of events with numbers or names, with a place for each group."""

_DAYS = re.compile(r"valid for (\d+) days")

_LABEL = re.compile("|".join(rf"\b{re.escape(label)}(?!\w)" for label in LABELS))

_IN_DETAILS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\btrack (\d+)"), gettext_noop("track {}")),
    (re.compile(r"\(silent\)"), gettext_noop("(silent)")),
    (re.compile(r"\(spare microphones\)"), gettext_noop("(spare microphones)")),
    (re.compile(r"\(more than (\d+) tracks\)"), gettext_noop("(more than {} tracks)")),
    (re.compile(r"^all of it, so the video is silent$"), gettext_noop("all of it, so the video is silent")),
    (re.compile(r"(\d+:\d\d:\d\d) to (\d+:\d\d:\d\d)"), gettext_noop("{} to {}")),
    (re.compile(r" and (\d+) more$"), gettext_noop(" and {} more")),
)
"""What details of warnings contain in addition to numbers and names, with a place for each group."""


def translated(text: str) -> str:
    """Return a text of the catalogue in the reader's language, and any other as it is."""
    return gettext(text) if text else ""


def job_message(message: str, details: Mapping[str, Any] | None, code: str) -> str:
    """Return `reason_message` of a job in the reader's language, from its `reason_details` or its reason.

    What follows a reason's own message, such as the words of AWS, is shown as it is.
    """
    if details and (made := from_details(details)):
        return made
    reason = Reason.__members__.get(code)
    if reason is not None and message.startswith(reason.message):
        return (translated(reason.message) + event_text(message.removeprefix(reason.message))).strip()
    return translated(message)


def from_details(details: Mapping[str, Any]) -> str:
    """Return the text of the details of a job or an event; empty if this version of the app has none."""
    key = details.get("text")
    if key == DEAD:
        return dead_message(*_why_dead(details), translate=translated)
    if key not in REJECTIONS:
        return ""
    shown = {name: _shown(value) for name, value in details.items()}
    try:
        return translated(REJECTIONS[key]).format(**shown)
    except (KeyError, IndexError):  # another version of the engine has written other parameters
        return ""


def after_message(text: str, details: Mapping[str, Any]) -> str:
    """Return what an event's text has after the message of its details: facts for operators."""
    if details["text"] == DEAD:
        english = dead_message(*_why_dead(details))
    else:
        english = rejection(details["text"], **{name: value for name, value in details.items() if name != "text"})[
            "message"
        ]
    return event_text(text.partition(english)[2].strip())


def warning_message(warning: Mapping[str, str]) -> str:
    """Return the message of a warning of a job in the reader's language."""
    text = SOURCE_WARNINGS.get(warning["code"])
    detail = warning.get("detail", "")
    if text is None or ("{}" in text and not detail):
        return warning["message"]
    return translated(text).format(_with_places(_IN_DETAILS, detail))


def event_text(text: str) -> str:
    """Return a text of an event, without the message of its reason, in the reader's language."""
    if text in PHRASES:
        return translated(text)
    if found := _DAYS.fullmatch(text):
        days = int(found[1])
        return ngettext("valid for {days} day", "valid for {days} days", days).format(days=days)
    text = _LABEL.sub(lambda found: translated(found[0]), _with_places(_FACTS, text))
    for reason in Reason:
        text = text.replace(reason.message, translated(reason.message))
    return text


def _why_dead(details: Mapping[str, Any]) -> tuple[Reason, list[Cause]]:
    reason = Reason.__members__.get(details["reason"], Reason.ATTEMPTS_EXHAUSTED)
    return reason, [Cause(*each) for each in details["causes"]]


def _shown(value: Any) -> str:
    return translated(value) if isinstance(value, str) else number_format(value, force_grouping=True)


def _with_places(texts: Iterable[tuple[re.Pattern[str], str]], shown: str) -> str:
    for pattern, text in texts:
        place = translated(text)
        shown = pattern.sub(lambda found: place.format(*found.groups()), shown)  # noqa: B023 - called at once
    return shown
