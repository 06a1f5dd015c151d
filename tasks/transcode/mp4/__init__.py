"""Reads and writes the boxes of fragmented MP4 files (ISO/IEC 14496-12)."""

from __future__ import annotations
