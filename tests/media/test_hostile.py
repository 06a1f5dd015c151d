"""A file made to cost hours or gigabytes is rejected or planned in seconds.

Its plan never has more frames than its packets span.
"""

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

LIMIT_S = 10
MAX_ENCODED_FRAMES = 1_000
"""A bomb has 30 frames; if one of them correctly lasts for minutes, it is enough to plan the file."""


def _rejection(path: Path, output: Path) -> InputRejectedError | None:
    """Return the error with which the file is rejected, or None if its output passes all checks."""
    try:
        source = probe_source(path)
        plan = make_plan(source, SMALL, threads=1)
        span_s = source.video_s
        if source.audio_span_s is not None:
            span_s = max(span_s, source.audio_span_s[1] - source.start_s)
        assert plan.frames <= 1.05 * span_s * plan.rate + 1
        if plan.frames <= MAX_ENCODED_FRAMES:
            run = start_run(path, output, SMALL, threads=1)
            finish_run(run, parallel=1, progress=lambda *_: None, stop=threading.Event())
            check_output(output)
    except InputRejectedError as rejection:
        return rejection
    return None


@pytest.mark.few(8)
@pytest.mark.parametrize("kind", BOMBS)
def test_bomb_is_rejected_or_planned_within_10_s_when_it_is_probed(kind: str, tmp_path: Path) -> None:
    bomb = BOMBS[kind]
    path = tmp_path / bomb.name
    bomb.make(path)
    rejections: list[InputRejectedError | None] = []

    def once() -> float:
        started_s = time.monotonic()
        rejections.append(_rejection(path, tmp_path / f"output {len(rejections)}"))
        return time.monotonic() - started_s

    assert_quick_once(once, limit_s=LIMIT_S)
    rejection = rejections[-1]
    if rejection is not None:
        assert rejection.code in bomb.codes
        assert re.fullmatch(r"[A-Z][^\n]*\.", rejection.message)


def test_warning_is_given_when_joined_recordings_restart_the_clock(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.flv", frames=60)
    joined = tmp_path / "joined.flv"
    # The second recording without its header, as recorders append it.
    joined.write_bytes(clip.read_bytes() + clip.read_bytes()[13:])
    assert "CLOCK_STARTS_OVER" not in probe_source(clip).warnings
    assert "CLOCK_STARTS_OVER" in probe_source(joined).warnings
    assert _rejection(joined, tmp_path / "output") is None


def test_warning_is_given_when_the_audio_has_no_codec(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    BOMBS["audio without a codec"].make(path)
    assert "AUDIO_UNREADABLE all of it, so the video is silent" in probe_source(path).warnings


@pytest.mark.parametrize("traits", [{}, {"audio_s": 1.0, "codec": ("-vn",)}], ids=["video", "audio"])
def test_file_is_rejected_when_it_is_encrypted(traits: dict[str, Any], tmp_path: Path) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    clip = make_clip(tmp_path / "a.mp4", frames=30, **traits, extra=("-encryption_scheme", "cenc-aes-ctr", *key))
    with pytest.raises(InputRejectedError, match="ENCRYPTED"):
        probe_source(clip)
