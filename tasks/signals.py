"""Signals of ours that a host site may send or hear."""

from __future__ import annotations

from django.dispatch import Signal

upload_completed = Signal()
"""Send it (sender=Video, video=the video) when a direct upload to the storage is complete and `source_complete` was set by `update()`,
which sends no signal of Django's."""
