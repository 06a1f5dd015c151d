"""Mutations of how sources with several clocks are read, and of streams that begin in the middle of a packet."""

from __future__ import annotations

from tests.mutations.patch import Patch

_CLOCKS = "tests/media/test_clocks.py"
_TORN = "tests/media/test_torn_streams.py"
_KINDS = "tests/media/test_kinds.py"
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
        old='return _torn_demuxer_of(head) if kind in {"", "mpeg"} else None',
        new="return _torn_demuxer_of(head)",
        tests=(f"{_TORN}::test_file_of_another_kind_is_rejected_when_it_contains_a_stream",),
    ),
    Patch(
        name="packets of another codec are taken for those of the stream",
        promise=2,
        file="tasks/transcode/probe/child.py",
        old="        if self.kinds is not None and self.kinds.has(packet):\n",
        new="        if False:\n",
        tests=(f"{_KINDS}::test_rest_is_shown_with_a_warning_when_a_stream_changes_its_codec[h264, then hevc.ts]",),
    ),
    Patch(
        name="ffmpeg chooses the decoder of a stream that changes its codec",
        promise=2,
        file="tasks/transcode/encode/filters.py",
        old="    if decoder is not None:\n",
        new="    if decoder is not None and not plan.rungs:\n",
        tests=(f"{_KINDS}::test_rest_is_shown_with_a_warning_when_a_stream_changes_its_codec[h264, then hevc.ts]",),
    ),
    Patch(
        name="a program stream is not found before its next pack header",
        promise=2,
        file="tasks/transcode/probe/sniff.py",
        old=" or _has_packets(head):\n",
        new=":\n",
        tests=(f"{_KINDS}::test_everything_is_shown_when_a_program_stream_begins_inside_a_pack",),
    ),
)
