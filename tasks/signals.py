"""Signals that a host site may send or receive."""

from __future__ import annotations

from django.dispatch import Signal

deletion_requested = Signal()
"""Sent by Video.delete() and QuerySet.delete() with the video's id, in the caller's transaction."""

upload_completed = Signal()
"""Send it (sender=Video, video=the video) after a direct upload is complete and `source_complete`
was set with `QuerySet.update()`, which does not send Django's `post_save`."""
