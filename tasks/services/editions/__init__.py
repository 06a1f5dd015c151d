"""Editions: the playlists of a publication again, with captions and chapters that people added (docs/adr/0054)."""

from __future__ import annotations
