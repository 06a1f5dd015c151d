"""Consistency and seam checks on the outputs of a plan's units, before playlists are written.

The package `verify` explains all checks that a result passes, of which these are the first.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..errors import InconsistentOutputError, SeamMismatchError
from ..plan.thumbnails import make_sprite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..errors import UnitKey
    from ..outputs import Role, Segment, UnitOutput
    from ..plan.plan import AudioUnit, Plan, VideoUnit


def check_outputs(plan: Plan, outputs: Mapping[UnitKey, UnitOutput]) -> None:
    """Raise InconsistentOutputError or SeamMismatchError, with the units to redo, unless all outputs fit together."""
    wanted: list[UnitKey] = [unit.index for unit in plan.video_units]
    wanted += [unit.key for unit in plan.audio_units]
    missing = [unit for unit in wanted if unit not in outputs]
    if missing:
        raise InconsistentOutputError(
            code="UNIT_MISSING", message=f"The output of {_named(missing)} is missing.", units=missing
        )
    _check_files(plan, outputs)
    _check_inits(plan, outputs)
    _check_seams(plan, outputs)


def _check_files(plan: Plan, outputs: Mapping[UnitKey, UnitOutput]) -> None:
    """Raise InconsistentOutputError unless every unit has the files of the plan.

    A video unit has one file for each rung, as long as the unit, and its stills. An audio unit has one
    file; that of the default track has the poster if there is no video stream.
    """
    wrong: list[UnitKey] = [unit.index for unit in plan.video_units if not video_fits(plan, unit, outputs[unit.index])]
    wrong += [unit.key for unit in plan.audio_units if not audio_fits(plan, unit, outputs[unit.key])]
    if wrong:
        raise InconsistentOutputError(
            code="FILES", message=f"The files of {_named(wrong)} do not match the plan.", units=wrong
        )


def video_fits(plan: Plan, unit: VideoUnit, output: UnitOutput) -> bool:
    """Return whether the output of a video unit has the files of the plan."""
    span = (unit.first_frame * plan.frame_ticks, unit.end_frame * plan.frame_ticks)
    files = [file for file in output.files if file.role == "video"]
    stills = [file.role for file in output.files if file.role in {"poster", "sprite"}]
    return (
        [file.rung for file in files] == [rung.name for rung in plan.rungs]
        and all(file.timescale == plan.timescale and _span(file.segments) == span for file in files)
        and all(_span(file.key_frames) == span for file in files)
        and stills == _wanted_stills(plan, unit)
    )


def audio_fits(plan: Plan, unit: AudioUnit, output: UnitOutput) -> bool:
    """Return whether the output of an audio unit has the files of the plan."""
    roles = ["audio", "poster"] if plan.has_poster(unit) else ["audio"]
    span = (unit.first_aac * 1024, unit.end_aac * 1024)
    return [file.role for file in output.files] == roles and _span(output.files[0].segments) == span


def seam_fits(before: UnitOutput, after: UnitOutput) -> bool:
    """Return whether two consecutive video units decoded the same frames around their boundary."""
    return before.tail is not None and before.tail == after.head


def _wanted_stills(plan: Plan, unit: VideoUnit) -> list[Role]:
    wanted: list[Role] = ["poster"] if unit.first_frame <= plan.poster_frame < unit.end_frame else []
    if make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame) is not None:
        wanted.append("sprite")
    return wanted


def _span(segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Return the first and last tick of segments that follow each other without a gap, else None."""
    ends = [segment.start_ticks + segment.duration_ticks for segment in segments]
    starts = [segment.start_ticks for segment in segments]
    if not ends or starts[1:] != ends[:-1]:
        return None
    return starts[0], ends[-1]


def _check_inits(plan: Plan, outputs: Mapping[UnitKey, UnitOutput]) -> None:
    """Raise InconsistentOutputError unless all files of a rung, or of an audio track, have the same init segment.

    Players load it once. The units that differ from the majority are the wrong ones.
    """
    wrong: set[UnitKey] = set()
    tracks: list[dict[UnitKey, str]] = [
        {
            unit.index: file.init_sha256
            for unit in plan.video_units
            for file in outputs[unit.index].files
            if file.rung == rung.name
        }
        for rung in plan.rungs
    ]
    tracks += [
        {unit.key: outputs[unit.key].files[0].init_sha256 for unit in plan.audio_units if unit.track == number}
        for number in range(len(plan.audio_tracks))
    ]
    for inits in tracks:
        usual = Counter(inits.values()).most_common(1)[0][0]
        wrong |= {index for index, init in inits.items() if init != usual}
    if wrong:
        units = sorted(wrong, key=str)
        raise InconsistentOutputError(
            code="INIT_DIFFERS", message=f"The init segments of {_named(units)} differ from the others.", units=units
        )


def _check_seams(plan: Plan, outputs: Mapping[UnitKey, UnitOutput]) -> None:
    """Raise SeamMismatchError unless any two consecutive units decoded the same frames around their boundary."""
    wrong: list[UnitKey] = []
    for before, after in zip(plan.video_units, plan.video_units[1:], strict=False):
        if not seam_fits(outputs[before.index], outputs[after.index]):
            wrong += [index for index in (before.index, after.index) if index not in wrong]
    if wrong:
        raise SeamMismatchError(
            code="SEAM_MISMATCH", message=f"The frames shared by {_named(wrong)} differ.", units=wrong
        )


def _named(units: list[UnitKey]) -> str:
    return f"unit{'s' if len(units) > 1 else ''} {', '.join(str(unit) for unit in units)}"
