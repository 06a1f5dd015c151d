"""The pages: a list with an upload form, a page per video, progress for polling, and media files for the player."""

from __future__ import annotations
