"""A file made to cost hours or gigabytes gets a verdict in seconds, and never more pictures than its packets span."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import InputRejectedError, make_plan, probe_source
from tasks.transcode.cli.local_run import finish_run, start_run
from tests.media.bombs import BOMBS
from tests.media.clips import make_clip
from tests.media.output_checks import check_output
from tests.media.runs import SMALL
from tests.polling import assert_quick_once

if TYPE_CHECKING:
    from pathlib import Path

VERDICT_S = 10
PLANNED_FRAMES = 1_000
"""A bomb holds 30 pictures; where its clock honestly says that one stands for minutes, planning it is verdict enough."""


def _verdict(path: Path, output: Path) -> InputRejectedError | None:
    """Return why the file is refused, or None when it became an output that keeps all rules."""
    try:
        source = probe_source(path)
        plan = make_plan(source, SMALL, threads=1)
        span_s = source.video_s
        if source.audio is not None:
            span_s = max(span_s, source.audio.end_s - source.start_s)
        assert plan.frames <= 1.05 * span_s * plan.rate + 1
        if plan.frames <= PLANNED_FRAMES:
            run = start_run(path, output, SMALL, threads=1)
            finish_run(run, at_once=1, progress=lambda *_: None, stop=threading.Event())
            check_output(output)
    except InputRejectedError as refusal:
        return refusal
    return None


@pytest.mark.parametrize("kind", BOMBS)
def test_final_status_comes_within_10_s_when_a_file_lies(kind: str, tmp_path: Path) -> None:
    bomb = BOMBS[kind]
    path = tmp_path / bomb.name
    bomb.make(path)
    refusals: list[InputRejectedError | None] = []

    def once() -> float:
        started_s = time.monotonic()
        refusals.append(_verdict(path, tmp_path / f"output {len(refusals)}"))
        return time.monotonic() - started_s

    assert_quick_once(once, limit_s=VERDICT_S)
    refusal = refusals[-1]
    if refusal is not None:
        assert refusal.code in bomb.codes
        assert re.fullmatch(r"[A-Z][^\n]*\.", refusal.message)


def test_the_owner_is_told_when_recordings_were_joined_and_the_clock_starts_over(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.ts", pictures=60)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(2 * clip.read_bytes())
    assert "CLOCK_STARTS_OVER" not in probe_source(clip).warnings
    assert "CLOCK_STARTS_OVER" in probe_source(joined).warnings
    assert _verdict(joined, tmp_path / "output") is None


def test_the_owner_is_told_when_the_sound_has_no_codec(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    BOMBS["sound of no codec"].make(path)
    assert "AUDIO_UNREADABLE" in probe_source(path).warnings


@pytest.mark.parametrize("traits", [{}, {"audio_s": 1.0, "codec": ("-vn",)}], ids=["pictures", "sound"])
def test_file_is_refused_when_it_is_encrypted(traits: dict[str, Any], tmp_path: Path) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    clip = make_clip(tmp_path / "a.mp4", pictures=30, **traits, extra=("-encryption_scheme", "cenc-aes-ctr", *key))
    with pytest.raises(InputRejectedError, match="ENCRYPTED"):
        probe_source(clip)
