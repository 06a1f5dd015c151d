"""Audio encoding: the whole audio is encoded once, then cut into segments that match the video's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import AUDIO_UNIT, EncodeError
from ..mp4.boxes import InvalidBoxError
from ..mp4.fragments import MediaWriter, build_moof, read_fragments
from ..outputs import UnitOutput
from ..sandbox.ffmpeg import input_arguments, run_ffmpeg
from ..sandbox.limits import encode_limits
from .filters import audio_graph
from .stills import describe_still, still_arguments
from .video import check_engine

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from ..mp4.boxes import Fragment
    from ..outputs import MediaFile
    from ..plan.plan import AudioPlan, Plan

_FRAME_TICKS = 1024
"""Samples in an AAC frame; the track's timescale is its sample rate."""


def encode_audio(
    path: Path,
    plan: Plan,
    output_dir: Path,
    *,
    progress: Callable[[int], None],
    stop: threading.Event,
    reading: Callable[[int], None] = lambda _: None,
) -> UnitOutput:
    """Encode the plan's audio into `output_dir` (which must exist) and describe the file.

    If there is no video stream, write and describe the poster too. `progress` gets the milliseconds
    of media encoded so far, at least every 5 s, and `reading` the bytes of the source read so far.
    Raises EncodeError or StoppedError.
    """
    check_engine(plan)
    if plan.audio is None:
        raise EncodeError(code="NO_AUDIO", message="The plan has no audio to encode.")
    encoder = _AudioEncoder(plan, plan.audio, output_dir, progress=progress, stop=stop, reading=reading)
    try:
        file = encoder.encode(path, plan.demuxer, plan.audio)
    except _FormatChangedError:
        file = encoder.encode_via_pcm(path, plan.demuxer)
    progress(round(plan.duration_s * 1000))
    posters = [] if plan.rungs else [describe_still(output_dir, "poster")]
    return UnitOutput(AUDIO_UNIT, (file, *posters), encoder.cpu_s)


class _FormatChangedError(EncodeError):
    """The sample rate or the channels change midway.

    ffmpeg restarted its filter graph there, so the number of frames is wrong.
    """


class _AudioEncoder:
    """The encoding of one audio stream, in one step or in two."""

    def __init__(
        self,
        plan: Plan,
        audio: AudioPlan,
        output_dir: Path,
        *,
        progress: Callable[[int], None],
        stop: threading.Event,
        reading: Callable[[int], None],
    ) -> None:
        self._plan, self._audio, self._output_dir = plan, audio, output_dir
        self._progress, self._stop, self._reading = progress, stop, reading
        self.cpu_s = 0.0

    def encode(self, path: Path, demuxer: str, audio: AudioPlan) -> MediaFile:
        """Encode stream `audio.stream` of a file. Raises _FormatChangedError, EncodeError or StoppedError."""
        unsegmented = _unsegmented_path(self._output_dir)
        try:
            self._ffmpeg(
                path, _arguments(path, demuxer, self._plan, audio, self._output_dir), output_bps=4 * audio.bit_rate_bps
            )
            return _regroup(unsegmented, self._output_dir / "audio.mp4", audio)
        except InvalidBoxError as error:
            raise EncodeError(code="FRAGMENTS", message=f"ffmpeg wrote a file that cannot be read: {error}.") from error
        finally:
            unsegmented.unlink(missing_ok=True)

    def encode_via_pcm(self, path: Path, demuxer: str) -> MediaFile:
        """Decode everything to samples of one format, then encode those. Raises the same errors as `encode`."""
        samples = self._output_dir / "audio.samples"
        try:
            self._ffmpeg(
                path, _pcm_arguments(path, demuxer, self._audio, samples), output_bps=32 * self._audio.sample_rate_hz
            )
            return self.encode(samples, _SAMPLES_FORMAT, replace(self._audio, stream=0))
        finally:
            samples.unlink(missing_ok=True)

    def _ffmpeg(self, source: Path, arguments: list[str], *, output_bps: int) -> None:
        clock = _Clock(self._progress)

        def report(read_bytes: int) -> None:
            self._reading(read_bytes)
            clock.report()

        self.cpu_s += run_ffmpeg(
            arguments,
            limits=encode_limits(media_s=self._plan.duration_s, source_px=0, output_bps=output_bps),
            on_line=clock.take,
            on_wait=report,
            stop=self._stop,
            reads=[source],
            writes_below=self._output_dir,
        )


class _Clock:
    """Media time parsed from ffmpeg's -progress lines."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress, self._done_ms = progress, 0

    def take(self, line: str) -> None:
        name, _, value = line.partition("=")
        if name == "out_time_us" and value.strip().isdigit():
            self._done_ms = max(self._done_ms, int(value) // 1000)

    def report(self) -> None:
        self._progress(self._done_ms)


_SAMPLES_FORMAT = "nut"
"""Its timestamps are exact to the sample."""


def _pcm_arguments(path: Path, demuxer: str, audio: AudioPlan, samples: Path) -> list[str]:
    return [
        *("-progress", "pipe:1", "-stats_period", "1", "-copyts", *input_arguments(path, demuxer)),
        *("-map", f"0:{audio.stream}", "-ac", "2", "-ar", str(audio.sample_rate_hz), "-c:a", "pcm_s16le"),
        *("-f", _SAMPLES_FORMAT, str(samples)),
    ]


def _arguments(path: Path, demuxer: str, plan: Plan, audio: AudioPlan, output_dir: Path) -> list[str]:
    graph = audio_graph(audio, with_poster=not plan.rungs)
    return [
        *("-progress", "pipe:1", "-stats_period", "1", "-copyts", *input_arguments(path, demuxer)),
        *("-filter_complex_threads", "1", "-filter_complex", graph, "-map", "[audio]"),
        *("-c:a", "aac", "-b:a", str(audio.bit_rate_bps), "-threads", "1", "-flags:a", "+bitexact"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4"),
        *(
            "-frag_duration",
            "10000000",
            "-movflags",
            "+default_base_moof+delay_moov+skip_trailer",
            str(_unsegmented_path(output_dir)),
        ),
        *([] if plan.rungs else ["-map", "[poster]", *still_arguments(output_dir, "poster")]),
    ]


def _unsegmented_path(output_dir: Path) -> Path:
    return output_dir / "audio.whole"


def _regroup(unsegmented: Path, segmented: Path, audio: AudioPlan) -> MediaFile:
    """Rewrite the frames of ffmpeg's fragments as one fragment for each segment."""
    init, fragments = read_fragments(unsegmented)
    frames = _frames(fragments)
    if len(frames) != audio.aac_frames:
        raise _FormatChangedError(
            code="AUDIO_FRAMES", message=f"ffmpeg wrote {len(frames)} audio frames instead of {audio.aac_frames}."
        )
    writer = MediaWriter(segmented, init)
    try:
        with unsegmented.open("rb") as file:
            ends = [*audio.cuts[1:], audio.aac_frames]
            for number, (start, end) in enumerate(zip(audio.cuts, ends, strict=True), start=1):
                pieces = _segment(file, number, start * _FRAME_TICKS, frames[start:end])
                writer.add_segment(pieces, start * _FRAME_TICKS, (end - start) * _FRAME_TICKS)
    finally:
        writer.close()
    return writer.describe("audio", None)


def _frames(fragments: Sequence[Fragment]) -> list[tuple[int, int]]:
    """Return (offset in the file, bytes) of each AAC frame.

    Raises _FormatChangedError if there is a gap in time between fragments.
    """
    frames: list[tuple[int, int]] = []
    for fragment in fragments:
        if fragment.decode_ticks != len(frames) * _FRAME_TICKS:
            raise _FormatChangedError(
                code="AUDIO_FRAMES", message=f"Audio frame {len(frames)} is at the wrong tick {fragment.decode_ticks}."
            )
        # A fragment's data is at its end.
        offset = fragment.offset + fragment.size_bytes - sum(fragment.sample_sizes)
        for size in fragment.sample_sizes:
            frames.append((offset, size))
            offset += size
    return frames


def _segment(file: BinaryIO, number: int, start_ticks: int, frames: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    yield build_moof(number, start_ticks, _FRAME_TICKS, [size for _, size in frames])
    for offset, size in frames:
        file.seek(offset)
        yield file.read(size)
