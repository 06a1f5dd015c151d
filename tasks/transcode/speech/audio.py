"""The audio that an engine gets: a span of one track, on the clock of the output, at one loudness."""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ..encode.audio import SAMPLE_BYTES, SAMPLES_FORMAT, pcm_arguments, splicing
from ..encode.audio_graph import audio_graph
from ..sandbox.ffmpeg import input_arguments, output_argument, run_ffmpeg
from ..sandbox.limits import encode_limits
from .faults import AUDIO, SpeechError
from .port import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..byte_ranges import ByteRanges
    from ..plan.plan import AudioPlan, AudioTrack, Plan

_BITS = 16
_SHORTER_S = 0.2
"""By how much it may be shorter than asked for: a frame of AAC, and what resampling holds back."""


@dataclass(frozen=True, kw_only=True)
class SpeechAudio:
    """A span of one audio track of a plan."""

    plan: Plan
    audio: AudioPlan
    track: AudioTrack
    from_s: Fraction
    to_s: Fraction
    stop: threading.Event
    reading: Callable[[int], None]
    """Takes the number of bytes that ffmpeg has read."""

    def extract(self, source: Path, target: Path, *, present: ByteRanges | None) -> None:
        """Write a WAV file: one channel, 16 bits, SAMPLE_RATE_HZ.

        It is decoded from the beginning, as the audio units are: the time of each sample follows from all timestamps
        before. `present` are the byte ranges that the file has, or None for all of it. Raises EncodeError or
        StoppedError.
        """
        inputs = [*splicing(self.plan, self.track), *input_arguments(source, self.plan.demuxer)]
        self._convert(source, inputs, self.track, target, present)
        if self._is_whole(target):
            return
        # The sample rate or the channels change midway, and ffmpeg began again there, as in `encode.audio`.
        samples = target.with_suffix(".samples")
        try:
            arguments = pcm_arguments(source, self.plan, self.audio, self.track, samples)
            self._ffmpeg(source, arguments, 8 * SAMPLE_BYTES * self.audio.sample_rate_hz, target, present)
            streams = tuple(range(len(self.track.streams)))
            track = replace(self.track, streams=streams, downmix="")
            self._convert(samples, input_arguments(samples, SAMPLES_FORMAT), track, target, None)
        finally:
            samples.unlink(missing_ok=True)
        if not self._is_whole(target):
            raise SpeechError(AUDIO, "ffmpeg wrote less audio than the part has.")

    def _convert(
        self, source: Path, inputs: list[str], track: AudioTrack, target: Path, present: ByteRanges | None
    ) -> None:
        end_aac = min(self.audio.aac_frames, math.ceil(self.to_s * self.audio.sample_rate_hz / 1024) + 1)
        graph = audio_graph(self.audio, track, end_aac=end_aac, with_poster=False)
        cut = f"atrim=start={float(self.from_s):.6f}:end={float(self.to_s):.6f},asetpts=N/SR/TB"
        form = f"aresample={SAMPLE_RATE_HZ},aformat=sample_fmts=s16:channel_layouts=mono"
        arguments = [
            *("-copyts", *inputs, "-filter_complex_threads", "1"),
            *("-filter_complex", f"{graph};[audio]{cut},{form}[speech]", "-map", "[speech]"),
            *("-c:a", "pcm_s16le", "-fflags", "+bitexact", "-f", "wav", output_argument(target)),
        ]
        self._ffmpeg(source, arguments, _BITS * SAMPLE_RATE_HZ, target, present)

    def _ffmpeg(
        self, source: Path, arguments: Sequence[str], output_bps: int, target: Path, present: ByteRanges | None
    ) -> None:
        run_ffmpeg(
            arguments,
            limits=encode_limits(media_s=self.plan.duration_s, source_px=0, output_bps=output_bps),
            on_line=lambda _: None,
            on_wait=self.reading,
            stop=self.stop,
            reads=[source],
            present=present,
            writes_below=target.parent,
        )

    def _is_whole(self, target: Path) -> bool:
        try:
            with wave.open(str(target)) as file:
                return bool(file.getnframes() / SAMPLE_RATE_HZ >= float(self.to_s - self.from_s) - _SHORTER_S)
        except (wave.Error, EOFError):
            return False
