"""Additional cost of poster, thumbnails and playlists: a unit encoded with and without them."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode.encode.video import encode_video
from tasks.transcode.package.publication import build_publication

if TYPE_CHECKING:
    from tasks.transcode import Plan

STILLS_TARGET = 0.02
"""Maximum share of the encoder's CPU time."""


def measured(source: Path, plan: Plan, *, runs: int, folder: Path) -> dict[str, float]:
    """Encode the first unit of `plan` `runs` times with and without stills.

    Return the CPU seconds of ffmpeg, and of writing all playlists of the unit.
    """
    unit = plan.video_units[0]
    alone = dataclasses.replace(plan, frames=unit.end_frame, video_units=(unit,), audio=None, captions=())
    # A frame after the last one: no unit creates the poster then.
    bare = dataclasses.replace(alone, thumbnails=None, poster_frame=alone.frames)
    with_stills_s = without_s = playlists_s = 0.0
    for _ in range(runs):
        without_s += _encoded(source, bare, folder)[0]
        this_s, written_s = _encoded(source, alone, folder)
        with_stills_s += this_s
        playlists_s += written_s
    return {
        "without_cpu_s": round(without_s / runs, 3),
        "with_cpu_s": round(with_stills_s / runs, 3),
        "playlists_cpu_s": round(playlists_s / runs, 3),
        "share": round((with_stills_s + playlists_s) / without_s - 1, 4),
        "target": STILLS_TARGET,
    }


def _encoded(source: Path, plan: Plan, folder: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        output = encode_video(source, plan, 0, Path(place), progress=lambda _: None, stop=threading.Event())
        began_s = time.process_time()
        if plan.thumbnails:
            build_publication(plan, {0: output}, url_of=lambda _, file: file.name)
        return output.cpu_s, time.process_time() - began_s
