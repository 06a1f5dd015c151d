"""Playlists of an output that is still being made, for viewers who watch it meanwhile.

They list its beginning: up to the first segment that a rung or an audio track does not have yet, so all
tracks are equally long in one answer. Players that find one rung shorter than another go back, and
stall. Everything else is as in the playlists that will be published: target durations, codecs, file
names, and the URL and byte range of each segment.

Only units that fit together are listed. That is what can be known before the stored objects are
verified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from ..plan.plan import segment_starts
from .consistency import audio_fits, seam_fits, video_fits
from .playlists import MASTER_NAME, audio_name, playlist_writers
from .tracks import PlacedFile, Planned, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..errors import UnitKey
    from ..outputs import MediaFile, UnitOutput
    from ..plan.ladder import Rung
    from ..plan.plan import Plan

GROWING_NAME = MASTER_NAME
"""Name of the playlist to begin with."""

_VBV_S = 2
"""Seconds of the ceiling that x264's buffer holds: a run of segments can exceed the ceiling by that much."""

_AUDIO_PEAK = Fraction(5, 4)
"""Upper limit of the audio's peak, in its average bit rate."""

_TICKS_PER_AAC_FRAME = 1024


@dataclass(frozen=True)
class Growing:
    """The tracks of an output as far as they can be listed."""

    plan: Plan
    rungs: tuple[Track, ...]
    audio: tuple[Track, ...]
    segments: int
    """Number of segments that each track lists."""
    duration_s: Fraction
    """Seconds that can be played."""

    def text(self, name: str, *, now: str) -> str | None:
        """Return the playlist or captions of this name; None if there are none, or nothing can be played yet.

        `now` is the time in ISO 8601.
        """
        if not self.segments:
            return None
        write = playlist_writers(self.plan, self.rungs, self.audio, growing_at=now).get(name)
        return None if write is None else write()


def grow(plan: Plan, outputs: Mapping[UnitKey, UnitOutput], *, url_of: Callable[[UnitKey, MediaFile], str]) -> Growing:
    """Return what can be listed of the units that are finished.

    `url_of` returns a media file's URL relative to the folder of the playlists.
    """
    video = _video_prefix(plan, outputs)
    audio = [_audio_prefix(plan, outputs, number) for number in range(len(plan.audio_tracks))]
    starts = _segment_frames(plan)
    listed = min(_length(plan.rungs, video, plan), *(_length(plan.has_audio, track, plan) for track in audio or [[]]))
    if not listed:
        return Growing(plan, (), (), 0, Fraction(0))
    rungs = tuple(
        _track(rung.name, _files(video, rung.name), listed, _planned(plan, rung), url_of) for rung in plan.rungs
    )
    return Growing(
        plan,
        rungs,
        tuple(
            _track(audio_name(number), _files(prefix, None), listed, _planned_audio(plan), url_of)
            for number, prefix in enumerate(audio)
        ),
        listed,
        starts[listed] / plan.rate,
    )


def _length(exists: object, prefix: Sequence[UnitOutput], plan: Plan) -> int:
    """Return how many segments a track has; no limit if there is no such track."""
    all_segments = len(_segment_frames(plan)) - 1
    if not exists:
        return all_segments
    return sum(len(next(file for file in output.files if file.segments).segments) for output in prefix)


def _segment_frames(plan: Plan) -> list[int]:
    """Return the first frame of each segment, and the end of the last one."""
    starts = segment_starts(0, plan.frames, segment_frames=plan.segment_frames, rate=plan.rate)
    return [*starts, plan.frames]


def _video_prefix(plan: Plan, outputs: Mapping[UnitKey, UnitOutput]) -> list[UnitOutput]:
    """Return the outputs of the first video units, up to one that is missing or does not fit those before it."""
    prefix: list[UnitOutput] = []
    for unit in plan.video_units:
        output = outputs.get(unit.index)
        if output is None or not video_fits(plan, unit, output):
            break
        if prefix and not (seam_fits(prefix[-1], output) and _inits(prefix[0]) == _inits(output)):
            break
        prefix.append(output)
    return prefix


def _audio_prefix(plan: Plan, outputs: Mapping[UnitKey, UnitOutput], track: int) -> list[UnitOutput]:
    prefix: list[UnitOutput] = []
    for unit in plan.audio_units:
        if unit.track != track:
            continue
        output = outputs.get(unit.key)
        if output is None or not audio_fits(plan, unit, output) or (prefix and _inits(prefix[0]) != _inits(output)):
            break
        prefix.append(output)
    return prefix


def _files(outputs: Sequence[UnitOutput], rung: str | None) -> list[tuple[UnitKey, MediaFile]]:
    """Return the media files of a rung, or of an audio track, each with its unit."""
    return [(output.unit, file) for output in outputs for file in output.files if file.segments and file.rung == rung]


def _inits(output: UnitOutput) -> list[str]:
    return [file.init_sha256 for file in output.files if file.segments]


def _track(
    name: str,
    files: Sequence[tuple[UnitKey, MediaFile]],
    listed: int,
    planned: Planned,
    url_of: Callable[[UnitKey, MediaFile], str],
) -> Track:
    return Track(name, tuple(_placed(files, listed, url_of)), planned)


def _placed(
    files: Sequence[tuple[UnitKey, MediaFile]], listed: int, url_of: Callable[[UnitKey, MediaFile], str]
) -> Iterator[PlacedFile]:
    """Yield the files with the first `listed` segments of all of them."""
    for unit, file in files:
        if listed <= 0:
            return
        yield PlacedFile(url_of(unit, file), replace(file, segments=file.segments[:listed]))
        listed -= len(file.segments)


def _planned(plan: Plan, rung: Rung) -> Planned:
    times = tuple(
        (first * plan.frame_ticks, (end - first) * plan.frame_ticks) for first, end in pairwise(_segment_frames(plan))
    )
    segment_s = Fraction(plan.segment_frames) / plan.rate
    return Planned(times, round(rung.maxrate_bps * (1 + _VBV_S / segment_s)))


def _planned_audio(plan: Plan) -> Planned:
    if plan.audio is None:
        return Planned((), 0)
    cuts = [*plan.audio.cuts, plan.audio.aac_frames]
    times = tuple((start * _TICKS_PER_AAC_FRAME, (end - start) * _TICKS_PER_AAC_FRAME) for start, end in pairwise(cuts))
    return Planned(times, round(plan.audio.bit_rate_bps * _AUDIO_PEAK))
