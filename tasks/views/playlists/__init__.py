"""Playlists: those of a private bucket are signed, and those of a growing video rendered; and captions."""

from __future__ import annotations
