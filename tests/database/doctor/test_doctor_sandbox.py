"""Doctor names the wall around ffmpeg that does not hold, and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.doctor.finding import Status
from tasks.doctor.probes import container
from tasks.transcode import Walls

ALL_HOLD = {"environment_bytes": 0, "sockets": 0, "metadata": False, "foreign_bytes": 0, "foreign_writes": False}


@pytest.mark.parametrize(
    ("breach", "status", "why", "fix"),
    [
        ({}, Status.OK, "no network, sees no credentials and uses only its own files", ""),
        ({"environment_bytes": 812}, Status.FAILED, "812 bytes of the container's environment", "10001"),
        ({"sockets": 3}, Status.FAILED, "3 kinds of sockets: the kernel refused", "seccomp"),
        ({"sockets": 3, "metadata": True}, Status.FAILED, "credentials of the machine's role", "seccomp"),
        ({"foreign_bytes": 6}, Status.WARNING, "all files of its container", "landlock"),
        ({"foreign_writes": True}, Status.WARNING, "all files of its container", "landlock"),
    ],
    ids=["none", "environment", "sockets", "metadata", "reading", "writing"],
)
def test_doctor_names_the_wall_and_the_fix_when_one_does_not_hold(
    breach: dict[str, Any], status: Status, why: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "try_walls", lambda: Walls(**{**ALL_HOLD, **breach}))
    finding = container._sandbox()
    assert (finding.part, finding.status) == ("sandbox", status)
    assert why in finding.why
    assert fix in finding.fix
