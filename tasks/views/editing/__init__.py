"""The page on which people change a video, and its forms."""

from __future__ import annotations
