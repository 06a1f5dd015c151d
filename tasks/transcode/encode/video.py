"""Video encoding: one decode of a unit feeds all rungs."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from ..errors import EncodeError
from ..mp4.boxes import InvalidBoxError
from ..mp4.fragments import cut_video
from ..outputs import SeamSums, UnitOutput
from ..plan.ladder import buffer_bits
from ..plan.plan import segment_starts
from ..plan.thumbnails import make_sprite
from ..sandbox.ffmpeg import engine_id, input_arguments, output_argument, run_ffmpeg
from ..sandbox.limits import encode_limits
from .filters import end_encoded_frame, first_encoded_frame, splicing_arguments, video_graph, video_specifier
from .stills import describe_still, still_arguments

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from ..byte_ranges import ByteRanges
    from ..outputs import MediaFile
    from ..plan.ladder import Rung
    from ..plan.plan import Plan, VideoUnit
    from ..sandbox.limits import ChildLimits

_MP4_ARGUMENTS = (
    *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4"),
    *("-movflags", "+frag_keyframe+frag_discont+default_base_moof+delay_moov+skip_trailer"),
)


class _StartedTooLateError(Exception):
    """The demuxer landed after the wanted frame."""


def encode_video(
    path: Path,
    plan: Plan,
    index: int,
    output_dir: Path,
    *,
    progress: Callable[[int], None],
    stop: threading.Event,
    reading: Callable[[int], None] = lambda _: None,
    from_beginning: bool = False,
    present: ByteRanges | None = None,
) -> UnitOutput:
    """Encode unit `index` of `plan` into `output_dir` (which must exist) and describe its files.

    There is one file for each rung, and the poster or a sprite if the unit contains it. `progress`
    gets the number of the unit's frames encoded so far, at least every 5 s. `reading` gets the
    bytes of the source read so far, which also grow while everything before the unit is decoded and
    dropped.

    With `from_beginning` the source is read from its start, which never fails but takes longer: for
    the units of a SeamMismatchError, where seeking went wrong. `present` are the byte ranges that
    the file has, or None for all of it. Raises EncodeError or StoppedError; EncodeError HOLE_READ
    if the unit needs the whole file.
    """
    check_engine(plan)
    unit = plan.video_units[index]
    checks = _FrameChecks(plan, unit, progress)

    def report(read_bytes: int) -> None:
        reading(read_bytes)
        checks.report()

    with ExitStack() as cleanup:
        for rung in plan.rungs:
            # Also after a failure: otherwise a full disk would stay full.
            cleanup.callback(_uncut_path(output_dir, rung).unlink, missing_ok=True)
        cpu_s = 0.0
        for place in (None,) if from_beginning else unit.places:
            checks.clear()
            with suppress(_StartedTooLateError):
                cpu_s += run_ffmpeg(
                    _arguments(path, plan, unit, place, output_dir),
                    limits=_limits(plan, unit, place),
                    on_line=checks.take,
                    on_wait=report,
                    on_restart=checks.clear,
                    stop=stop,
                    reads=[path],
                    present=present,
                    writes_below=output_dir,
                )
            if checks.are_complete():
                break
        checks.require_complete()
        files = [_cut_to_unit(plan, unit, rung, output_dir) for rung in plan.rungs]
    if unit.first_frame <= plan.poster_frame < unit.end_frame:
        files.append(describe_still(output_dir, "poster"))
    if make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame) is not None:
        files.append(describe_still(output_dir, "sprite"))
    progress(unit.end_frame - unit.first_frame)
    return UnitOutput(index, tuple(files), cpu_s, head=checks.head(), tail=checks.tail())


def check_engine(plan: Plan) -> None:
    """Raise EncodeError unless the plan was made for this engine: its bytes would not fit the other units'."""
    if plan.engine != engine_id():
        raise EncodeError(
            code="ENGINE_CHANGED",
            message=f"The plan was made for engine {plan.engine}, but this is engine {engine_id()}. Make a new plan.",
        )


class _FrameChecks:
    """Checksums printed by ffmpeg: one line for each frame that it encodes, warm-up and look-ahead frames included."""

    def __init__(self, plan: Plan, unit: VideoUnit, progress: Callable[[int], None]) -> None:
        self._plan, self._unit, self._progress = plan, unit, progress
        self._first, self._end = first_encoded_frame(plan, unit), end_encoded_frame(plan, unit)
        self._sums: dict[int, int] = {}
        self._newest = self._first - 1

    def clear(self) -> None:
        self._sums = {}
        self._newest = self._first - 1

    def take(self, line: str) -> None:
        """Parse a line of the framecrc format: stream, dts, pts, duration, size, checksum."""
        if line.startswith("#") or not line:
            return
        fields = line.split(",")
        frame, checksum = int(fields[2]), int(fields[5], 16)
        if not self._sums and frame > self._first:
            raise _StartedTooLateError
        # The first frame of a GOP is never dropped, nor is the last frame of all.
        latest = min(self._end - 1, (self._newest // self._plan.gop_frames + 1) * self._plan.gop_frames)
        if not self._newest < frame <= latest:
            raise EncodeError(
                code="FRAMES", message=f"ffmpeg returned frame {frame} instead of {self._newest + 1} to {latest}."
            )
        self._sums[frame] = checksum
        self._newest = frame

    def report(self) -> None:
        done = self._newest + 1 - self._unit.first_frame
        self._progress(min(max(0, done), self._unit.end_frame - self._unit.first_frame))

    def are_complete(self) -> bool:
        """Return whether no frame is missing: the last one is never dropped.

        If the source's clock jumps, a missing frame may turn up when reading starts earlier.
        """
        return self._newest == self._end - 1

    def require_complete(self) -> None:
        if not self.are_complete():
            raise EncodeError(
                code="FRAMES",
                message=f"ffmpeg returned frames up to {self._newest} instead of {self._end - 1}.",
            )

    def head(self) -> SeamSums | None:
        """Return the sums of the frames that the previous unit decoded too; None for the first unit."""
        if self._unit.first_frame == 0:
            return None
        return self._between(self._first, min(self._end, self._unit.first_frame + self._plan.look_ahead_frames))

    def tail(self) -> SeamSums | None:
        """Return the sums of the frames that the next unit decodes too; None for the last unit."""
        if self._unit.end_frame == self._plan.frames:
            return None
        return self._between(max(0, self._unit.end_frame - self._plan.warm_up_frames), self._end)

    def _between(self, start: int, end: int) -> SeamSums:
        """Return the sums of the frames from `start` to `end`, without the last one.

        One of the two units kept it only because it is its last.
        """
        sums = {frame: checksum for frame, checksum in self._sums.items() if start <= frame < end - 1}
        return SeamSums(tuple(sums), tuple(sums.values()))


def _limits(plan: Plan, unit: VideoUnit, place: int | str | None) -> ChildLimits:
    first = first_encoded_frame(plan, unit)
    # A later place than the first is an earlier one in the file: at the worst, its start.
    skipped = unit.skipped_frames if place == unit.places[0] else first
    return encode_limits(
        media_s=float((end_encoded_frame(plan, unit) - first) / plan.rate),
        skipped_s=float(skipped / plan.rate),
        source_px=plan.source_px,
        output_bps=max(rung.maxrate_bps for rung in plan.rungs),
    )


def _arguments(path: Path, plan: Plan, unit: VideoUnit, place: int | str | None, output_dir: Path) -> list[str]:
    start_byte = place if isinstance(place, int) else 0
    graph = video_graph(plan, unit, start_byte)
    seek = ("-seek_timestamp", "1", "-noaccurate_seek", "-ss", place) if isinstance(place, str) else ()
    arguments = [
        *("-copyts", *seek, *splicing_arguments(plan, plan.stream, video_specifier(plan, start_byte), start_byte)),
        # The graph turns frames, and fits those of other sizes.
        *("-threads", str(plan.threads), "-reinit_filter", "0", "-noautorotate"),
        *input_arguments(path, plan.demuxer),
        *("-filter_complex_threads", "1", "-filter_complex", graph.text),
    ]
    for rung, label in zip(plan.rungs, graph.rungs, strict=True):
        arguments += [
            "-map",
            label,
            *_encoder_arguments(plan, unit, rung),
            output_argument(_uncut_path(output_dir, rung)),
        ]
    arguments += ["-map", graph.check, "-fps_mode", "passthrough", "-flush_packets", "1", "-f", "framecrc", "pipe:1"]
    if graph.poster:
        arguments += ["-map", graph.poster, *still_arguments(output_dir, "poster")]
    if graph.sprite:
        arguments += ["-map", graph.sprite, *still_arguments(output_dir, "sprite")]
    return arguments


def _encoder_arguments(plan: Plan, unit: VideoUnit, rung: Rung) -> list[str]:
    first = first_encoded_frame(plan, unit)
    gop = str(plan.gop_frames)
    rate = f"{plan.rate.numerator}/{plan.rate.denominator}"
    return [
        *("-fps_mode", "passthrough", "-c:v", "libx264", "-preset", plan.preset, "-threads", str(plan.threads)),
        *("-crf", str(rung.crf), "-maxrate", str(rung.maxrate_bps), "-bufsize", str(buffer_bits(rung.maxrate_bps))),
        # By a frame's time, because frames between may be missing: findings/ffmpeg-forced-key-frames-catch-up.sh.
        *("-force_key_frames", f"expr:not(mod(round(t*{rate}),{gop}))", "-forced-idr", "1"),
        *("-g", gop, "-keyint_min", gop, "-sc_threshold", "0", *_level_arguments(rung)),
        *("-x264-params", f"stitchable=1:fps={rate}"),
        # No captions inside the frames (CEA-608), which the playlists do not offer.
        *("-a53cc", "0"),
        *("-video_track_timescale", str(plan.timescale), *_MP4_ARGUMENTS),
        *("-fragment_index", str(first // plan.gop_frames + 1)),
    ]


_LEVEL_1B_MACROBLOCKS = 99
_LEVEL_1B_MAXRATE_BPS = 160_000
"""H.264 table A-1: maximum per frame and, in the High profile, per second in level 1b."""


def _level_arguments(rung: Rung) -> tuple[str, ...]:
    """Return no arguments, so that x264 chooses the lowest level, unless that may be 1b: Chromium rejects it."""
    macroblocks = -(-rung.width_px // 16) * -(-rung.height_px // 16)
    may_be_1b = macroblocks <= _LEVEL_1B_MACROBLOCKS and rung.maxrate_bps <= _LEVEL_1B_MAXRATE_BPS
    return ("-level", "1.1") if may_be_1b else ()


def _uncut_path(output_dir: Path, rung: Rung) -> Path:
    return output_dir / f"{rung.name}.whole"


_REORDERED_FRAMES = 2
"""By how many frames x264 delays presentation, with a pyramid of B-frames."""


def _cut_to_unit(plan: Plan, unit: VideoUnit, rung: Rung, output_dir: Path) -> MediaFile:
    """Cut a rung's file to the unit and delete the file with the warm-up and look-ahead frames.

    Keeping the uncut files of all rungs next to the cut ones would need twice the disk space.
    """
    starts = segment_starts(unit.first_frame, unit.end_frame, segment_frames=plan.segment_frames, rate=plan.rate)
    cuts = [*starts, unit.end_frame]
    uncut = _uncut_path(output_dir, rung)
    try:
        unit_file = cut_video(
            uncut,
            output_dir / f"{rung.name}.mp4",
            rung=rung.name,
            first_ticks=first_encoded_frame(plan, unit) * plan.frame_ticks,
            cuts_ticks=[cut * plan.frame_ticks for cut in cuts],
            shift_ticks=_REORDERED_FRAMES * plan.frame_ticks,
        )
    except InvalidBoxError as error:
        raise EncodeError(code="FRAGMENTS", message=f"ffmpeg wrote a file that cannot be read: {error}.") from error
    uncut.unlink()
    return unit_file
