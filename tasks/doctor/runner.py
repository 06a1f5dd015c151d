"""Concurrent runner for the probes: one thread per probe, one common deadline."""

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
"""Seconds after which an unfinished probe is abandoned.

The longest bounded one (two attempts to call AWS) takes 8 s.
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """A check of one part. `check` may raise any exception: it becomes a finding.

    `addresses` returns the names and addresses of what the check waits for, without connecting to it.
    """

    part: str
    check: Callable[[], Iterable[Finding]]
    addresses: Callable[[], Iterable[str]] = tuple


def run_probes(probes: Iterable[Probe], *, deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Return the findings of all probes, in the order of the probes, after at most `deadline_s` seconds."""
    ends_at_s = time.monotonic() + deadline_s
    runs = [_Run(probe) for probe in probes]
    for run in runs:
        run.start()
    for run in runs:
        run.join(max(0.0, ends_at_s - time.monotonic()))
    return [finding for run in runs for finding in run.outcome(deadline_s)]


class _Run(threading.Thread):
    """One running probe.

    A daemon thread, so that a probe that hangs forever does not keep the process from exiting.
    """

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
            fix = "See the findings about the database and its migrations."
            findings.append(unknown(self._probe.part, f"A database query failed: {text}", fix=fix))
        except Exception as error:  # noqa: BLE001 - one broken probe must not hide the findings of the others
            text = " ".join(str(error).split()) or type(error).__name__
            findings.append(
                unknown(self._probe.part, f"The check failed: {text}", fix="Fix the cause, then run doctor again.")
            )
        self._findings, self._ended = findings, True

    def outcome(self, deadline_s: float) -> list[Finding]:
        if self._ended:
            return self._findings
        addresses = list(dict.fromkeys(self._addresses()))
        text = f"No response within {deadline_s:g} s{f' from {_list(addresses)}' if addresses else ''}."
        which = "it is" if len(addresses) == 1 else "each of them is"
        fix = f"Check that {which} running, and the network connection to it from this machine."
        if not addresses:
            fix = "The check itself takes too long: run doctor again when this machine is less busy."
        return [unknown(self._probe.part, text, fix=fix)]

    def _addresses(self) -> list[str]:
        try:
            return list(self._probe.addresses())
        except Exception as error:  # noqa: BLE001 - settings that are wrong have no address, and a check of their own
            return [f"the servers of this check, whose settings have no address ({type(error).__name__})"]


def _list(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
