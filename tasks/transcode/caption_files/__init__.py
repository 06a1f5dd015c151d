"""Caption files that people upload: SubRip, SubStation Alpha and WebVTT become WebVTT on the output's clock."""

from __future__ import annotations
