"""What people change of a video: captions, chapters, its texts and its poster. The editions offer the first two."""

from __future__ import annotations
