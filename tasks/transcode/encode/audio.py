"""Audio encoding: from the beginning to the end of a unit, then cut into segments that match the video's.

An encoder's state depends on all samples before, so each unit is encoded from the beginning of its
track, and what belongs to earlier units is dropped. Audio is cheap, and a track has two units at most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..audio.mix import MICROPHONE
from ..errors import EncodeError
from ..mp4.boxes import InvalidBoxError
from ..mp4.fragments import MediaWriter, read_fragments
from ..mp4.moof import Sample, build_moof
from ..outputs import UnitOutput
from ..sandbox.ffmpeg import input_arguments, output_argument, run_ffmpeg
from ..sandbox.limits import encode_limits
from .audio_graph import audio_graph
from .filters import splicing_arguments
from .stills import describe_still, still_arguments
from .video import check_engine

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from ..byte_ranges import ByteRanges
    from ..mp4.boxes import Fragment
    from ..outputs import MediaFile
    from ..plan.plan import AudioPlan, AudioTrack, AudioUnit, Plan

_FRAME_TICKS = 1024
"""Samples in an AAC frame; the track's timescale is its sample rate."""

_LOOK_AHEAD_AAC = 8
"""Frames encoded beyond the end of a unit and dropped: the encoder decides about a frame with the next ones in view."""


def encode_audio(
    path: Path,
    plan: Plan,
    index: int,
    output_dir: Path,
    *,
    progress: Callable[[int], None],
    stop: threading.Event,
    present: ByteRanges | None = None,
    reading: Callable[[int], None] = lambda _: None,
) -> UnitOutput:
    """Encode audio unit `index` of `plan` into `output_dir` (which must exist) and describe the file.

    If there is no video stream, the default track's unit writes and describes the poster too.
    `progress` gets the milliseconds of media encoded so far, from the beginning of the audio to the
    unit's end, at least every 5 s, and `reading` the bytes of the source read so far. `present` are the
    byte ranges that the file has, or None for all of it. Raises EncodeError or StoppedError; EncodeError
    HOLE_READ if the audio needs the whole file.
    """
    check_engine(plan)
    if plan.audio is None:
        raise EncodeError(code="NO_AUDIO", message="The plan has no audio to encode.")
    unit = plan.audio_units[index]
    encoder = _AudioEncoder(plan, unit, output_dir, progress=progress, stop=stop, reading=reading)
    try:
        file = encoder.encode(path, plan.demuxer, plan.audio, plan.audio.tracks[unit.track], present)
    except _FormatChangedError:
        file = encoder.encode_via_pcm(path, plan.audio, plan.audio.tracks[unit.track], present)
    progress(round(plan.audio_end_s(index) * 1000))
    posters = [describe_still(output_dir, "poster")] if plan.has_poster(unit) else []
    return UnitOutput(unit.key, (file, *posters), encoder.cpu_s)


class _FormatChangedError(EncodeError):
    """The sample rate or the channels change midway.

    ffmpeg restarted its filter graph there, so the number of frames is wrong.
    """


class _AudioEncoder:
    """The encoding of one unit, in one step or in two."""

    def __init__(
        self,
        plan: Plan,
        unit: AudioUnit,
        output_dir: Path,
        *,
        progress: Callable[[int], None],
        stop: threading.Event,
        reading: Callable[[int], None],
    ) -> None:
        self._plan, self._unit, self._output_dir = plan, unit, output_dir
        self._progress, self._stop, self._reading = progress, stop, reading
        self.cpu_s = 0.0

    def encode(
        self, path: Path, demuxer: str, audio: AudioPlan, track: AudioTrack, present: ByteRanges | None = None
    ) -> MediaFile:
        """Encode a track from a file with its streams. Raises _FormatChangedError, EncodeError or StoppedError."""
        unsegmented = _unsegmented_path(self._output_dir)
        encoded_aac = min(audio.aac_frames, self._unit.end_aac + _LOOK_AHEAD_AAC)
        with_poster = self._plan.has_poster(self._unit)
        graph = audio_graph(audio, track, end_aac=encoded_aac, with_poster=with_poster)
        try:
            outputs = [
                *_audio_output(graph, audio, self._output_dir),
                *(["-map", "[poster]", *still_arguments(self._output_dir, "poster")] if with_poster else []),
            ]
            spliced = [] if demuxer == SAMPLES_FORMAT else splicing(self._plan, track)
            arguments = [*_START, *spliced, *input_arguments(path, demuxer), *outputs]
            self._ffmpeg(path, arguments, output_bps=4 * audio.bit_rate_bps, present=present)
            return _regroup(unsegmented, self._output_dir / "audio.mp4", audio, self._unit, encoded_aac)
        except InvalidBoxError as error:
            raise EncodeError(code="FRAGMENTS", message=f"ffmpeg wrote a file that cannot be read: {error}.") from error
        finally:
            unsegmented.unlink(missing_ok=True)

    def encode_via_pcm(self, path: Path, audio: AudioPlan, track: AudioTrack, present: ByteRanges | None) -> MediaFile:
        """Decode everything to samples of one format, then encode those. Raises the same errors as `encode`.

        They are what `encode` has up to the change: an earlier unit may end there.
        """
        samples = self._output_dir / "audio.samples"
        try:
            arguments = pcm_arguments(path, self._plan, audio, track, samples)
            self._ffmpeg(path, arguments, output_bps=8 * SAMPLE_BYTES * audio.sample_rate_hz, present=present)
            streams = tuple(range(len(track.streams)))
            return self.encode(samples, SAMPLES_FORMAT, audio, replace(track, streams=streams, downmix=""))
        finally:
            samples.unlink(missing_ok=True)

    def _ffmpeg(self, source: Path, arguments: list[str], *, output_bps: int, present: ByteRanges | None) -> None:
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
            present=present,
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


SAMPLES_FORMAT = "nut"
"""Its timestamps are exact to the sample."""

SAMPLE_BYTES = 2 * 4
"""Of two channels or microphones. Floating point as in `audio_graph`: ffmpeg mixes surround to integers at a lower
level.
"""

_START = ("-progress", "pipe:1", "-stats_period", "1", "-copyts")


def splicing(plan: Plan, track: AudioTrack) -> list[str]:
    """Return the arguments for an input that put all streams of a track on one clock."""
    return [argument for stream in track.streams for argument in splicing_arguments(plan, stream, str(stream))]


def pcm_arguments(path: Path, plan: Plan, audio: AudioPlan, track: AudioTrack, samples: Path) -> list[str]:
    """Return the arguments that decode all of a track to a file of SAMPLES_FORMAT, on the source's clock."""
    downmix = MICROPHONE if len(track.streams) > 1 else track.downmix
    return [
        *_START,
        *(*splicing(plan, track), *input_arguments(path, plan.demuxer)),
        *(argument for stream in track.streams for argument in ("-map", f"0:{stream}")),
        *(["-af", downmix] if downmix else []),
        *("-ac", "1" if len(track.streams) > 1 else "2", "-ar", str(audio.sample_rate_hz), "-c:a", "pcm_f32le"),
        *("-f", SAMPLES_FORMAT, str(samples)),
    ]


def _audio_output(graph: str, audio: AudioPlan, output_dir: Path) -> list[str]:
    return [
        *("-filter_complex_threads", "1", "-filter_complex", graph, "-map", "[audio]"),
        *("-c:a", "aac", "-b:a", str(audio.bit_rate_bps), "-threads", "1", "-flags:a", "+bitexact"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4"),
        *(
            "-frag_duration",
            "10000000",
            "-movflags",
            "+default_base_moof+delay_moov+skip_trailer",
            output_argument(_unsegmented_path(output_dir)),
        ),
    ]


def _unsegmented_path(output_dir: Path) -> Path:
    return output_dir / "audio.whole"


def _regroup(unsegmented: Path, segmented: Path, audio: AudioPlan, unit: AudioUnit, encoded_aac: int) -> MediaFile:
    """Rewrite the unit's frames in ffmpeg's fragments as one fragment for each segment."""
    init, fragments = read_fragments(unsegmented)
    frames = _frames(fragments)
    if len(frames) != encoded_aac:
        raise _FormatChangedError(
            code="AUDIO_FRAMES", message=f"ffmpeg wrote {len(frames)} audio frames instead of {encoded_aac}."
        )
    ends = [*audio.cuts[1:], audio.aac_frames]
    segments = [
        (number, start, end)
        for number, (start, end) in enumerate(zip(audio.cuts, ends, strict=True), start=1)
        if unit.first_aac <= start < unit.end_aac
    ]
    writer = MediaWriter(segmented, init)
    try:
        with unsegmented.open("rb") as file:
            for number, start, end in segments:
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
    samples = [Sample(size_bytes, _FRAME_TICKS) for _, size_bytes in frames]
    yield build_moof(number, start_ticks, samples, all_sync=True)
    for offset, size in frames:
        file.seek(offset)
        yield file.read(size)
