"""What happened to a video: in a few lines for its owner, and entry by entry for operators."""

from __future__ import annotations
