"""Reading and writing of fragmented MP4 boxes (ISO/IEC 14496-12)."""

from __future__ import annotations
