"""`scripts/demo [FILE]`: transcode one video end to end on this machine."""

from __future__ import annotations
