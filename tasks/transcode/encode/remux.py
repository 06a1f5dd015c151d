"""Offers a source's own streams as they are, in new containers: a preview that takes seconds, while the ladder takes its time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import PREVIEW_UNIT, EncodeError, StoppedError
from ..mp4.boxes import InvalidBoxError
from ..mp4.fragments import MediaWriter, read_fragments
from ..mp4.init_segment import read_init
from ..outputs import UnitOutput
from ..plan.preview_rule import LONGEST_GOP_S
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
    """Copy the pictures, and the sound if there is any, into a file of segments each in `output_dir` (which exists).

    `progress` gets the bytes written so far, of a copy and then of the file that is made of it. Raises StoppedError, or
    EncodeError: also where the copy turns out not to begin at time 0, so that pictures and sound would not be in step in
    every player.
    """
    check_engine(plan)
    whole = {role: output_dir / f"{role}.whole" for role in _roles(plan)}
    try:
        cpu_s = run_ffmpeg(
            _arguments(path, plan, whole),
            limits=preview_limits(path.stat().st_size),
            on_line=lambda _: None,
            on_wait=lambda _: progress(sum(source.stat().st_size for source in whole.values() if source.exists())),
            stop=stop,
        )
        files = tuple(
            _segmented(source, output_dir / f"{role}.mp4", role, progress=progress, stop=stop)
            for role, source in whole.items()
        )
    except InvalidBoxError as error:
        raise EncodeError(code="FRAGMENTS", message=f"ffmpeg wrote a file that cannot be read: {error}.") from error
    finally:
        for source in whole.values():
            source.unlink(missing_ok=True)
    progress(sum(file.bytes for file in files))
    return UnitOutput(PREVIEW_UNIT, files, cpu_s)


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
    """Write the fragments of `source` as segments of up to six seconds. Raises EncodeError, InvalidBoxError or StoppedError."""
    init, fragments = read_fragments(source)
    facts = read_init(init)
    starts_at_zero = bool(fragments) and fragments[0].decode_ticks == 0 and facts.shift_ticks == 0
    ends = [fragment.decode_ticks + fragment.duration_ticks for fragment in fragments]
    if not starts_at_zero or ends[:-1] != [fragment.decode_ticks for fragment in fragments[1:]]:
        raise EncodeError(code="REMUX_UNFIT", message="The source's streams do not begin together or have gaps.")
    writer = MediaWriter(kept, init)
    try:
        with source.open("rb") as file:
            for group in _grouped(fragments, LONGEST_GOP_S * facts.timescale):
                if stop.is_set():
                    raise StoppedError
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
