"""Step 3: encode one unit with ffmpeg: filter graph, segments, poster and thumbnails."""

from __future__ import annotations
