"""Signals of ours that a host site may send or hear."""

from __future__ import annotations

from django.dispatch import Signal

deletion_requested = Signal()
"""Sent by Video.delete() and by a queryset's, with the video's id, in the caller's transaction."""

upload_completed = Signal()
"""Send it (sender=Video, video=the video) when a direct upload to the storage is complete and `source_complete` was set by `update()`,
which sends no signal of Django's."""
