"""Contents of the media benchmark: what schools upload, generated. 1080p at 30 frames per second unless a film is used."""

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
_SCROLL_S = 2
_KEYS, _KEY_S, _TYPING_FROM_S = 40, 0.15, 4
"""In each period of 20 s: 2 s of scrolling, a pause, then 6 s of typing."""

_RECORDED = ("-preset", "veryfast", "-crf", "18")
_EXPORTED = ("-preset", "medium", "-crf", "18")


@dataclass(frozen=True)
class Content:
    """A kind of video: a filter graph from [film] to [video], and how it was encoded."""

    graph: str
    encoder: tuple[str, ...] = _RECORDED


def _slides() -> str:
    return f"{_SLIDES}[video]"


def _screencast() -> str:
    """A page that scrolls for a tenth of the time and in which text is typed, a character after the other."""
    page = f"testsrc2=s=1920x2160:r={RATE},trim=end_frame=1,loop=-1:1,setpts=N/{RATE}/TB"
    # Down in one period, up in the next one, so that it never jumps.
    way = f"if(mod(floor(t/{_PERIOD_S}),2),1-min(1,mod(t,{_PERIOD_S})/{_SCROLL_S}),min(1,mod(t,{_PERIOD_S})/{_SCROLL_S}))"
    keys = ",".join(
        f"drawbox=x={300 + 24 * key}:y=700:w={12 + key % 5}:h={20 + key % 7}:t=fill:c=black:"
        f"enable='gte(mod(t,{_PERIOD_S}),{_TYPING_FROM_S + _KEY_S * key:.2f})'"
        for key in range(_KEYS)
    )
    return f"{page},crop=1920:1080:0:'1080*{way}',{keys}[video]"


def _meeting() -> str:
    """A film on half of the frame, of which about 8 frames a second come, at uneven distances."""
    film = f"[film]fps={RATE},scale=960:-2,setsar=1[small]"
    # The same every time: a hash of the frame's number.
    kept = f"select='lt(mod(n*2654435761,4294967296)/4294967296,8/{RATE})'"
    return f"{film};{_SLIDES}[slides];[slides][small]overlay=x=W-w:y=0:shortest=1,{kept}[video]"


def _corner() -> str:
    return (
        f"[film]fps={RATE},scale=384:-2:flags=lanczos,setsar=1[speaker];{_SLIDES}[slides];"
        "[slides][speaker]overlay=x=W-w:y=H-h:shortest=1[video]"
    )


def _film() -> str:
    return "[film]scale=1920:1080:flags=lanczos,setsar=1[video]"


CONTENTS = {
    "slides-recorded": Content(_slides()),
    "slides-exported": Content(_slides(), _EXPORTED),
    "slides-without-b-frames": Content(_slides(), (*_EXPORTED, "-bf", "0")),
    "screencast": Content(_screencast()),
    "meeting": Content(_meeting()),
    "corner": Content(_corner()),
    "film": Content(_film()),
}


def make_content(name: str, path: Path, *, film: Path, length_s: float) -> Path:
    """Write `length_s` seconds of a content, with the film's audio, as Matroska: it keeps uneven distances."""
    content = CONTENTS[name]
    inputs = ["-stream_loop", "-1", "-i", str(film)]
    graph = content.graph.replace("[film]", "[0:v]")
    subprocess.run(
        [
            *(ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *inputs),
            *("-filter_complex", graph, "-map", "[video]", "-map", "0:a:0?", "-t", str(length_s)),
            *("-fps_mode", "passthrough", "-c:v", "libx264", *content.encoder, "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", "-b:a", "128k", str(path)),
        ],
        check=True,
    )
    return path
