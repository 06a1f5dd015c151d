"""Clocks that do not begin at 0 or that begin again: exact lengths, frames in order, audio in step."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.media.clips import H264, ffmpeg, numbers_filter, read_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

_FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof+frag_discont")
_TICKS = {1: 15360, 2: 48000}
"""Timescales that ffmpeg gives the video track at 30 fps and the audio track."""


def _beep(path: Path, *codec: str) -> Path:
    """Write 4 s of numbered frames at 30 fps, and audio that is silent but for a tone from 1 s to 2 s."""
    tone = "aevalsrc=between(t\\,1\\,2)*sin(880*PI*t)*0.5:s=48000:d=4"
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", tone, "-frames:v", "120"),
        *(codec or H264),
        str(path),
    )
    return path


def _tone_starts_s(done: Transcoded) -> list[float]:
    """Return the times at which the audio of an output gets loud after at least 0.3 s of silence."""
    raw = ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-ar", "8000", "-f", "u8", "-")
    loud = [at for at, level in enumerate(raw) if abs(level - 128) > 20]
    return [at / 8000 for index, at in enumerate(loud) if index == 0 or at - loud[index - 1] > 2400]


def _shift_fragments(path: Path, by_s: dict[int, float]) -> None:
    """Add seconds to the decode times (tfdt) of the fragments of each track."""
    content = bytearray(path.read_bytes())
    at = content.find(b"tfhd")
    while at >= 0:
        (track,) = struct.unpack_from(">I", content, at + 8)
        time = content.index(b"tfdt", at) + 8
        (ticks,) = struct.unpack_from(">Q", content, time)
        struct.pack_into(">Q", content, time, ticks + round(by_s[track] * _TICKS[track]))
        at = content.find(b"tfhd", time)
    path.write_bytes(content)


@pytest.mark.parametrize("begin_s", [0, 5, 1_700_000_000])
def test_audio_stays_in_step_when_the_first_fragment_is_of_a_later_time(
    begin_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    source = _beep(tmp_path / "a.mp4", *H264, "-bf", "0", "-g", "30", *_FRAGMENTS)
    _shift_fragments(source, {1: begin_s, 2: begin_s})
    done = transcode(source)
    # ffmpeg's muxer makes the first frame longer by the audio's priming: by more than half a frame.
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [0, *range(120)]
    # Without an edit list, the AAC encoder's first 1,024 samples delay the audio in any player.
    assert _tone_starts_s(done) == pytest.approx([1 + 1024 / 48000], abs=0.01)
    assert not done.plan.warnings


def test_first_frame_is_held_when_the_first_fragment_of_the_video_is_later(
    tmp_path: Path, transcode: Transcode
) -> None:
    source = _beep(tmp_path / "a.mp4", *H264, "-bf", "0", "-g", "30", *_FRAGMENTS)
    _shift_fragments(source, {1: 3, 2: 0})
    done = transcode(source)
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [*[0] * 91, *range(120)]
    assert _tone_starts_s(done) == pytest.approx([1 + 1024 / 48000], abs=0.01)
    assert not done.plan.warnings
