"""Offers a source's own streams as they are, in new containers: a preview that takes seconds, while the ladder takes its time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from tasks.transcode.boxes import BadBoxes
from tasks.transcode.encode import check_engine
from tasks.transcode.errors import REMUX_UNIT, EncodeFailed, Stopped
from tasks.transcode.ffmpeg import input_arguments, run_ffmpeg
from tasks.transcode.fragments import MediaWriter, read_fragments
from tasks.transcode.init import read_init
from tasks.transcode.ladder import MAX_PICTURE_PX
from tasks.transcode.limits import remux_limits
from tasks.transcode.outputs import UnitOutput

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tasks.transcode.boxes import Fragment
    from tasks.transcode.outputs import MediaFile, Role
    from tasks.transcode.plan import Plan
    from tasks.transcode.source import SourceInfo

_LONGEST_GOP_S = 6
"""A segment is at least a GOP, and Apple's authoring specification for HLS wants segments of 6 s."""

_HIGHEST_BIT_RATE_BPS = 10_000_000
"""Twice what the largest rung may have: above it, a preview would stall more than it shows."""

_SEEKABLE = frozenset({"mov", "matroska"})
"""Demuxers whose packets carry exact times."""

_MP4_ARGUMENTS = ("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4")
_MOVFLAGS = "+default_base_moof+delay_moov+skip_trailer"


def can_remux(source: SourceInfo) -> bool:
    """Tell whether every player takes the source's own streams: H.264 in 8 bits with short closed GOPs, AAC in stereo."""
    return (
        source.demuxer in _SEEKABLE
        and (source.codec, source.pixel_format, source.transfer) == ("h264", "yuv420p", "")
        and source.upright
        and source.sample_aspect == 1
        and not source.interlaced
        and source.width_px * source.height_px <= MAX_PICTURE_PX
        and source.bit_rate_bps <= _HIGHEST_BIT_RATE_BPS
        and source.closed_gops
        and _longest_gop_s(source) <= _LONGEST_GOP_S
        and (source.audio is None or (source.audio.codec == "aac" and source.audio.channels <= 2))  # noqa: PLR2004  # stereo
    )


def _longest_gop_s(source: SourceInfo) -> Fraction:
    keys = [key.pts for key in source.keys]
    if not keys or keys[0] > source.first_pts:
        return Fraction(source.end_pts - source.first_pts) * source.time_base
    return max(later - earlier for earlier, later in itertools.pairwise([*keys, source.end_pts])) * source.time_base


def remux(
    path: Path,
    plan: Plan,
    output_dir: Path,
    *,
    progress: Callable[[int], None],
    stop: threading.Event,
) -> UnitOutput:
    """Copy the pictures, and the sound if there is any, into a file of segments each in `output_dir` (which exists).

    `progress` gets the bytes written so far, of a copy and then of the file that is made of it. Raises Stopped, or
    EncodeFailed: also where the copy turns out not to begin at time 0, so that pictures and sound would not be in step in
    every player.
    """
    check_engine(plan)
    whole = {role: output_dir / f"{role}.whole" for role in _roles(plan)}
    try:
        cpu_s = run_ffmpeg(
            _arguments(path, plan, whole),
            limits=remux_limits(path.stat().st_size),
            on_line=lambda _: None,
            on_wait=lambda _: progress(sum(source.stat().st_size for source in whole.values() if source.exists())),
            stop=stop,
        )
        files = tuple(
            _segmented(source, output_dir / f"{role}.mp4", role, progress=progress, stop=stop)
            for role, source in whole.items()
        )
    except BadBoxes as error:
        raise EncodeFailed(code="FRAGMENTS", sentence=f"ffmpeg wrote a file that cannot be read: {error}.") from error
    finally:
        for source in whole.values():
            source.unlink(missing_ok=True)
    progress(sum(file.bytes for file in files))
    return UnitOutput(REMUX_UNIT, files, cpu_s)


def _roles(plan: Plan) -> tuple[Role, ...]:
    return ("video", "audio") if plan.audio else ("video",)


def _arguments(path: Path, plan: Plan, whole: dict[Role, Path]) -> list[str]:
    arguments = [*input_arguments(path, plan.demuxer), "-map", f"0:{plan.stream}", "-c", "copy", *_MP4_ARGUMENTS]
    # Players are to need no edit list: pictures that wait for later ones get negative offsets instead.
    arguments += ["-movflags", f"{_MOVFLAGS}+frag_keyframe+negative_cts_offsets", str(whole["video"])]
    if plan.audio:
        arguments += ["-map", f"0:{plan.audio.stream}", "-c", "copy", *_MP4_ARGUMENTS]
        # The frame of priming, which an edit list would hide.
        arguments += ["-bsf:a", r"noise=drop=lt(pts\,0)", "-frag_duration", "6000000", "-movflags", _MOVFLAGS]
        arguments.append(str(whole["audio"]))
    return arguments


def _segmented(
    source: Path, kept: Path, role: Role, *, progress: Callable[[int], None], stop: threading.Event
) -> MediaFile:
    """Write the fragments of `source` as segments of up to six seconds. Raises EncodeFailed, BadBoxes or Stopped."""
    init, fragments = read_fragments(source)
    facts = read_init(init)
    starts_at_zero = bool(fragments) and fragments[0].decode_ticks == 0 and facts.shift_ticks == 0
    ends = [fragment.decode_ticks + fragment.duration_ticks for fragment in fragments]
    if not starts_at_zero or ends[:-1] != [fragment.decode_ticks for fragment in fragments[1:]]:
        raise EncodeFailed(code="REMUX_UNFIT", sentence="The source's streams do not begin together or have gaps.")
    writer = MediaWriter(kept, init)
    try:
        with source.open("rb") as file:
            for group in _grouped(fragments, _LONGEST_GOP_S * facts.timescale):
                if stop.is_set():
                    raise Stopped
                writer.add_fragments(file, group)
                progress(file.tell())
    finally:
        writer.close()
    if role == "video":
        return writer.describe(role, "source")
    return replace(writer.describe(role, None), key_frames=())


def _grouped(fragments: Sequence[Fragment], most_ticks: int) -> Iterator[list[Fragment]]:
    group: list[Fragment] = []
    for fragment in fragments:
        if group and sum(each.duration_ticks for each in (*group, fragment)) > most_ticks:
            yield group
            group = []
        group.append(fragment)
    yield group
