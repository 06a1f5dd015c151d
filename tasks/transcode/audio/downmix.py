"""Stereo from any channel layout, also from those that ffmpeg does not mix down by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.filter import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

STEREO_RATE_HZ = 48_000

STEREO = (f"aformat=sample_fmts=flt:channel_layouts=stereo:sample_rates={STEREO_RATE_HZ}",)
"""Converts to two channels of floating-point samples: ffmpeg mixes surround to integers at a lower level."""

_AMBISONIC = "ambisonic"


def downmix_of(layout: str, channels: int) -> str:
    """Return the ffmpeg filter that makes stereo of a layout; empty if the resampler does it by itself.

    `layout` is ffmpeg's name for it. Of ambisonic channels (in ACN order, as in Opus and MP4), the
    first two are a pair of microphones, one of them for all directions and the other for left minus
    right (RFC 8486, 5.1). Of any two channels, one is left and the other right. Others have no defined
    place, so both ears get all of them.
    """
    try:
        converter(layout, "flt", STEREO_RATE_HZ, to=STEREO)
    except (av.error.FFmpegError, ValueError):
        pass
    else:
        return ""
    if layout.startswith(_AMBISONIC) and channels > 1:
        return "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1"
    if channels == len(("left", "right")):
        # Not `pan`, which refuses some layouts if channels are only moved: findings/ffmpeg-pan-refuses-plain-moves.sh.
        return "channelmap=map=0|1:channel_layout=stereo"
    of_all = "+".join(f"{1 / channels:.6f}*c{index}" for index in range(channels))
    return f"pan=stereo|c0={of_all}|c1={of_all}"


def converter(layout: str, sample_format: str, rate_hz: int, *, downmix: str = "", to: Sequence[str]) -> Graph:
    """Return a graph that takes frames of a format through `downmix` and then through the filters `to`.

    Raises av.error.FFmpegError or ValueError if ffmpeg cannot convert them.
    """
    graph = Graph()
    given = f"sample_rate={rate_hz}:sample_fmt={sample_format}:channel_layout={layout}:time_base=1/{rate_hz}"
    filters = [f"abuffer={given}", *([downmix] if downmix else []), *to, "abuffersink="]
    graph.link_nodes(*(graph.add(name, arguments) for name, _, arguments in (each.partition("=") for each in filters)))
    graph.configure()
    return graph
