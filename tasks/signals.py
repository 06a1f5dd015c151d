"""Signals that a host site may send or receive.

A Celery worker sends those of the outbox, with `sender=Video` and the arguments `video_id`, `event_id` (UUIDs)
and `payload`, a dictionary: docs/how-to/know-when-a-video-is-ready.md describes it. Each is sent at least once,
in the order of the video's events. If a receiver raises, all receivers get the event again later, with the
same `event_id`.
"""

from __future__ import annotations

from django.dispatch import Signal

deletion_requested = Signal()
"""Sent by Video.delete() and QuerySet.delete() with the video's id, in the caller's transaction."""

upload_completed = Signal()
"""Send it (sender=Video, video=the video) after a direct upload is complete and `source_complete`
was set with `QuerySet.update()`, which does not send Django's `post_save`."""

video_playable = Signal()
"""An uploaded file can be watched for the first time, at least its beginning."""

video_published = Signal()
"""A video, or a new version of it, is published: the full ladder can be watched."""

video_failed = Signal()
"""The file cannot be transcoded, or all attempts are used up."""

video_deleted = Signal()
"""A video was deleted. Its row and objects are removed later."""
