"""What captions and thumbnail maps have in common: both are WebVTT."""

from __future__ import annotations

import math
from fractions import Fraction

WEBVTT_CONTENT_TYPE = "text/vtt"


def webvtt_time(seconds: Fraction) -> str:
    """Write a time as WebVTT does, to the millisecond: 01:02:03.450."""
    whole_ms = math.floor(seconds * 1000 + Fraction(1, 2))
    minutes, ms = divmod(whole_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}.{ms % 1000:03}"
