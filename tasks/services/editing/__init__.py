"""What people change of a video: captions and chapters, which editions offer."""

from __future__ import annotations
