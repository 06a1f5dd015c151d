"""Caption files that people upload: SubRip, Advanced SubStation Alpha and WebVTT become WebVTT on the output's clock."""

from __future__ import annotations
