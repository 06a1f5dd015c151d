"""Outputs that encoders would return for a plan, without encoding."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

from tasks.transcode import MediaFile, SeamSums, Segment, UnitOutput
from tasks.transcode.plan.plan import segment_starts
from tasks.transcode.plan.thumbnails import make_sprite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.transcode import Plan, UnitKey

INIT_BYTES = 800
SEGMENT_BYTES = 50_000


def made_outputs(plan: Plan) -> dict[UnitKey, UnitOutput]:
    """Return the outputs of all units of a plan that has video, with the segments that it plans."""
    outputs: dict[UnitKey, UnitOutput] = {}
    for unit in plan.video_units:
        starts = segment_starts(unit.first_frame, unit.end_frame, segment_frames=plan.segment_frames, rate=plan.rate)
        cuts = [frame * plan.frame_ticks for frame in (*starts, unit.end_frame)]
        files = [media_file(rung.name, cuts, plan.timescale) for rung in plan.rungs]
        if unit.first_frame <= plan.poster_frame < unit.end_frame:
            files.append(MediaFile("poster.jpg", "poster", None, "image/jpeg", 900, "1" * 64))
        if make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame):  # type: ignore[arg-type] # it has video
            files.append(MediaFile("sprite.jpg", "sprite", None, "image/jpeg", 900, "2" * 64))
        outputs[unit.index] = UnitOutput(
            unit.index,
            tuple(files),
            1.0,
            head=seam_sums(unit.first_frame) if unit.index else None,
            tail=seam_sums(unit.end_frame) if unit.end_frame < plan.frames else None,
        )
    for part in plan.audio_units:
        assert plan.audio is not None
        cuts = [cut for cut in (*plan.audio.cuts, plan.audio.aac_frames) if part.first_aac <= cut <= part.end_aac]
        files = [media_file(None, [1024 * cut for cut in cuts], plan.audio.sample_rate_hz)]
        outputs[part.key] = UnitOutput(part.key, tuple(files), 1.0)
    return outputs


def media_file(rung: str | None, cuts_ticks: Sequence[int], timescale: int) -> MediaFile:
    """Return the description of a file with a segment between any two cuts."""
    role = "video" if rung else "audio"
    segments = tuple(
        Segment(INIT_BYTES + number * SEGMENT_BYTES, SEGMENT_BYTES, start, end - start)
        for number, (start, end) in enumerate(pairwise(cuts_ticks))
    )
    return MediaFile(
        f"{rung or role}.mp4",
        role,  # type: ignore[arg-type] # a literal
        rung,
        f"{role}/mp4",
        INIT_BYTES + len(segments) * SEGMENT_BYTES,
        "0" * 64,
        INIT_BYTES,
        hashlib.sha256(f"init {rung}".encode()).hexdigest(),
        timescale,
        "avc1.640028" if rung else "mp4a.40.2",
        segments,
        segments if rung else (),
    )


def seam_sums(boundary_frame: int, *sums: int) -> SeamSums:
    """Return the sums of three frames around a boundary of units."""
    return SeamSums(tuple(boundary_frame + at for at in (-24, -12, 0)), sums or (1, 2, 3))
