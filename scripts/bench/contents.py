"""Contents of the media benchmark, generated: what schools upload, 1080p at 30 frames per second but for the film."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from pathlib import Path

RATE = 30
_SLIDE_S = 7
_SLIDES = f"testsrc2=s=1920x1080:r=1/{_SLIDE_S},fps={RATE}"

_PERIOD_S = 20
_SCROLL_S = 1
_KEYS, _KEY_S, _TYPING_FROM_S = 7, 0.15, 4
"""A tenth of each period of 20 s moves: the page scrolls for a second, and later text is typed for a second."""

_RECORDED = ("-preset", "veryfast", "-crf", "18")
_EXPORTED = ("-preset", "medium", "-crf", "18")


@dataclass(frozen=True)
class Content:
    """A kind of video: a filter graph from [film] to [video], and how it was encoded."""

    graph: str
    encoder: tuple[str, ...] = _RECORDED


def _screencast() -> str:
    page = f"testsrc2=s=1920x2160:r={RATE},trim=end_frame=1,loop=-1:1,setpts=N/{RATE}/TB"
    # Down in one period, up in the next one, so that it never jumps.
    way = f"min(1,mod(t,{_PERIOD_S})/{_SCROLL_S})"
    keys = ",".join(
        f"drawbox=x={300 + 24 * key}:y=700:w={12 + key % 5}:h={20 + key % 7}:t=fill:c=black:"
        f"enable='gte(mod(t,{_PERIOD_S}),{_TYPING_FROM_S + _KEY_S * key:.2f})'"
        for key in range(_KEYS)
    )
    return f"{page},crop=1920:1080:0:'1080*if(mod(floor(t/{_PERIOD_S}),2),1-{way},{way})',{keys}[video]"


def _meeting(speaker_px: int) -> str:
    # A speaker hardly moves: the film at a third of its speed. Its frames come at uneven distances, the same ones
    # at every run: chosen by a hash of their number.
    speaker = f"[film]setpts=3*PTS,fps={RATE},scale={speaker_px}:-2,setsar=1[speaker]"
    kept = f"select='lt(mod(n*2654435761,4294967296)/4294967296,8/{RATE})'"
    return f"{speaker};{_SLIDES}[slides];[slides][speaker]overlay=x=W-w:y=0:shortest=1,{kept}[video]"


_CORNER = (
    f"[film]fps={RATE},scale=384:-2:flags=lanczos,setsar=1[speaker];{_SLIDES}[slides];"
    "[slides][speaker]overlay=x=W-w:y=H-h:shortest=1[video]"
)

CONTENTS = {
    "slides-recorded": Content(f"{_SLIDES}[video]"),
    "slides-exported": Content(f"{_SLIDES}[video]", _EXPORTED),
    "slides-without-b-frames": Content(f"{_SLIDES}[video]", (*_EXPORTED, "-bf", "0")),
    "screencast": Content(_screencast()),
    "meeting": Content(_meeting(960)),
    "shared-screen": Content(_meeting(320)),
    "corner": Content(_CORNER),
    "film": Content("[film]scale=1920:1080:flags=lanczos,setsar=1[video]"),
}
"""By name: slides that change every 7 s, as three encoders write them; a page that scrolls and in which text is typed;
slides and a speaker on half of the width or on a sixth, of which 8 frames a second arrive; slides with a film in the
corner; a film.
"""


def make_content(name: str, path: Path, *, film: Path, length_s: float) -> Path:
    """Write `length_s` seconds of a content with the film's audio; `path` is a Matroska file, for uneven distances."""
    content = CONTENTS[name]
    subprocess.run(
        [
            *(ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"),
            *("-stream_loop", "-1", "-i", str(film), "-filter_complex", content.graph.replace("[film]", "[0:v]")),
            *("-map", "[video]", "-map", "0:a:0?", "-t", str(length_s), "-fps_mode", "passthrough"),
            *("-c:v", "libx264", *content.encoder, "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k", str(path)),
        ],
        check=True,
    )
    return path
