"""The remux: copies a source's own streams into new containers.

It gives a preview within seconds, while the ladder is still being encoded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import PREVIEW_UNIT, EncodeError, StoppedError
from ..mp4.boxes import InvalidBoxError
from ..mp4.fragments import MediaWriter, read_fragments
from ..mp4.init_segment import read_init
from ..outputs import UnitOutput
from ..plan.preview_rule import MAX_GOP_S
from ..sandbox.ffmpeg import input_arguments, run_ffmpeg
from ..sandbox.limits import preview_limits
from .video import check_engine

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ..mp4.boxes import Fragment
    from ..outputs import MediaFile, Role
    from ..plan.plan import Plan

_MP4_ARGUMENTS = ("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4")
_MOVFLAGS = "+default_base_moof+delay_moov+skip_trailer"


def remux(
    path: Path,
    plan: Plan,
    output_dir: Path,
    *,
    progress: Callable[[int], None],
    stop: threading.Event,
) -> UnitOutput:
    """Copy the video, and the audio if there is any, into one segmented file each in `output_dir` (which must exist).

    `progress` gets the bytes written so far, first of the copy, then of the segmented file made
    from it. Raises StoppedError or EncodeError, the latter also if the copy does not begin at time
    0, so that audio and video would not be in sync in every player.
    """
    check_engine(plan)
    copies = {role: output_dir / f"{role}.whole" for role in _roles(plan)}
    try:
        cpu_s = run_ffmpeg(
            _arguments(path, plan, copies),
            limits=preview_limits(path.stat().st_size),
            on_line=lambda _: None,
            on_wait=lambda _: progress(sum(copy.stat().st_size for copy in copies.values() if copy.exists())),
            stop=stop,
            reads=[path],
            writes_below=output_dir,
        )
        files = tuple(
            _segmented(copy, output_dir / f"{role}.mp4", role, progress=progress, stop=stop)
            for role, copy in copies.items()
        )
    except InvalidBoxError as error:
        raise EncodeError(code="FRAGMENTS", message=f"ffmpeg wrote a file that cannot be read: {error}.") from error
    finally:
        for copy in copies.values():
            copy.unlink(missing_ok=True)
    progress(sum(file.bytes for file in files))
    return UnitOutput(PREVIEW_UNIT, files, cpu_s)


def _roles(plan: Plan) -> tuple[Role, ...]:
    return ("video", "audio") if plan.audio else ("video",)


def _arguments(path: Path, plan: Plan, copies: dict[Role, Path]) -> list[str]:
    arguments = [*input_arguments(path, plan.demuxer), "-map", f"0:{plan.stream}", "-c", "copy", *_MP4_ARGUMENTS]
    # So that players need no edit list, reordered frames get negative composition offsets instead.
    arguments += ["-movflags", f"{_MOVFLAGS}+frag_keyframe+negative_cts_offsets", str(copies["video"])]
    if plan.audio:
        arguments += ["-map", f"0:{plan.audio.stream}", "-c", "copy", *_MP4_ARGUMENTS]
        # Drop the priming frame, which an edit list would hide.
        arguments += ["-bsf:a", r"noise=drop=lt(pts\,0)", "-frag_duration", "6000000", "-movflags", _MOVFLAGS]
        arguments.append(str(copies["audio"]))
    return arguments


def _segmented(
    copy: Path, segmented: Path, role: Role, *, progress: Callable[[int], None], stop: threading.Event
) -> MediaFile:
    """Write the fragments of `copy` as segments of up to six seconds.

    Raises EncodeError, InvalidBoxError or StoppedError.
    """
    init, fragments = read_fragments(copy)
    facts = read_init(init)
    starts_at_zero = bool(fragments) and fragments[0].decode_ticks == 0 and facts.shift_ticks == 0
    ends = [fragment.decode_ticks + fragment.duration_ticks for fragment in fragments]
    if not starts_at_zero or ends[:-1] != [fragment.decode_ticks for fragment in fragments[1:]]:
        raise EncodeError(code="REMUX_UNFIT", message="The source's streams do not start together, or have gaps.")
    writer = MediaWriter(segmented, init)
    try:
        with copy.open("rb") as file:
            for group in _grouped(fragments, MAX_GOP_S * facts.timescale):
                if stop.is_set():
                    raise StoppedError
                writer.add_fragments(file, group)
                progress(file.tell())
    finally:
        writer.close()
    if role == "video":
        return writer.describe(role, "source")
    return replace(writer.describe(role, None), key_frames=())


def _grouped(fragments: Sequence[Fragment], max_ticks: int) -> Iterator[list[Fragment]]:
    group: list[Fragment] = []
    for fragment in fragments:
        if group and sum(each.duration_ticks for each in (*group, fragment)) > max_ticks:
            yield group
            group = []
        group.append(fragment)
    yield group
