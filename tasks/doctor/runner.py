"""Runs all probes at once, each in a thread of its own, and waits no longer than the deadline for any of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DatabaseError

from .finding import Finding, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEADLINE_S = 10.0
"""After this a probe that has not answered is given up: the longest bounded one (two tries at AWS) takes 8 s."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A look at one part. `look` may raise anything: that becomes a finding."""

    part: str
    check: Callable[[], Iterable[Finding]]


def run_probes(probes: Iterable[Probe], *, deadline_s: float = DEADLINE_S) -> list[Finding]:
    """The findings of all probes, in the order of the probes, after at most `deadline_s` seconds."""
    ends_at_s = time.monotonic() + deadline_s
    runs = [_Run(probe) for probe in probes]
    for run in runs:
        run.start()
    for run in runs:
        run.join(max(0.0, ends_at_s - time.monotonic()))
    return [finding for run in runs for finding in run.outcome(deadline_s)]


class _Run(threading.Thread):
    """One probe at work. A daemon thread, so that one which hangs for ever keeps nobody from leaving."""

    def __init__(self, probe: Probe) -> None:
        super().__init__(name=f"doctor-{probe.part}", daemon=True)
        self._probe = probe
        self._findings: list[Finding] = []
        self._ended = False

    def run(self) -> None:
        findings: list[Finding] = []
        try:
            findings.extend(self._probe.check())
        except DatabaseError as error:
            text = str(error).strip().splitlines()[0]
            fix = "Mend what the lines about the database and its migrations say."
            findings.append(unknown(self._probe.part, f"The database did not tell: {text}", fix=fix))
        except Exception as error:  # noqa: BLE001 - whatever one probe meets, the others' findings are shown
            text = " ".join(str(error).split()) or type(error).__name__
            findings.append(
                unknown(self._probe.part, f"It could not be looked at: {text}", fix="Mend the cause; look again.")
            )
        self._findings, self._ended = findings, True

    def outcome(self, deadline_s: float) -> list[Finding]:
        if self._ended:
            return self._findings
        text = f"No answer within {deadline_s:g} s."
        return [unknown(self._probe.part, text, fix="Check that it runs, and the network on the way to it.")]
