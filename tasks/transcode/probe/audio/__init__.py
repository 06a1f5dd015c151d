"""The audio tracks of a source: which of them are published, and what they are like."""

from __future__ import annotations
