"""Mutations of how sources with several clocks are read, and of streams that begin in the middle of a packet."""

from __future__ import annotations

from tests.mutations.patch import Patch

_CLOCKS = "tests/media/test_clocks.py"
_TORN = "tests/media/test_torn_streams.py"
_SPLICING = "tasks/transcode/splicing.py"

CLOCK_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a clock that starts over is not followed",
        promise=2,
        file=_SPLICING,
        old="        if self._video is None or not self._groups or self._lost or len(self._groups) > _MAX_SPLICES:",
        new="        if True:",
        tests=(f"{_CLOCKS}::test_everything_is_shown_when_the_clock_starts_over[cells of a DVD]",),
    ),
    Patch(
        name="audio of a new clock overlaps the audio before it",
        promise=2,
        file=_SPLICING,
        old="return longest if longest > shift + _OVERLAP_TICKS else shift",
        new="return shift",
        tests=(f"{_CLOCKS}::test_longer_audio_of_a_recording_is_kept_when_the_clock_starts_over",),
    ),
    Patch(
        name="other streams are left out in silence",
        promise=2,
        file="tasks/transcode/probe/child.py",
        old="    if left_out_s:\n",
        new="    if False:\n",
        tests=(f"{_CLOCKS}::test_warning_names_the_span_when_streams_under_other_identifiers_are_left_out",),
    ),
    Patch(
        name="a program stream in an archive passes for a video",
        promise=2,
        file="tasks/transcode/probe/sniff.py",
        old="return None if _other_kind(head) else _torn_demuxer_of(head)",
        new="return _torn_demuxer_of(head)",
        tests=(f"{_TORN}::test_file_of_another_kind_is_rejected_when_it_contains_a_stream",),
    ),
)
