"""A container reports itself that memory ran out.

The next attempt starts before AWS Batch reports the cause, and needs more memory.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tasks.container import memory
from tasks.container.memory import oom_kills
from tasks.container.program import Program
from tasks.lifecycle.reasons import Reason
from tasks.transcode import EncodeError

_V2 = "low 0\nhigh 0\nmax 31\noom 2\noom_kill {kills}\noom_group_kill 0\n"
_V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the kernel's counter file, which does not exist yet."""
    file = tmp_path / "memory.events"
    monkeypatch.setattr(memory, "_COUNTERS", (tmp_path / "no such file", file))
    return file


@pytest.mark.parametrize("text", [_V2, _V1], ids=["v2", "v1"])
def test_oom_kills_are_counted_when_the_kernel_reports_them(text: str, counter: Path) -> None:
    assert oom_kills() == 0
    counter.write_text(text.format(kills=3))
    assert oom_kills() == 3


@pytest.mark.parametrize(
    ("kills", "reason"),
    [(1, Reason.TRANSCODE_FAILED), (2, Reason.OUT_OF_MEMORY)],
    ids=["killed otherwise", "out of memory"],
)
def test_cause_is_reported_when_the_encoder_was_killed(kills: int, reason: Reason, counter: Path) -> None:
    counter.write_text(_V2.format(kills=1))
    program = Program(job_id=uuid.uuid4(), number=1, batch_job_id=None)
    counter.write_text(_V2.format(kills=kills))
    program._on_error(EncodeError(code="ENCODER_KILLED", message="ffmpeg was ended by signal 9 (no output)."))
    assert program._outcome.reason is reason
