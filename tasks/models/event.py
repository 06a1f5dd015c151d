"""The history shown to people."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    """Append-only row: what happened, to which job and attempt, and why. Plain ids, so it outlives those rows."""

    created_at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=50)
    video_id = models.UUIDField(null=True, blank=True)
    job_id = models.UUIDField(null=True, blank=True)
    attempt_number = models.PositiveIntegerField(null=True, blank=True)
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12, blank=True)
    reason = models.CharField(max_length=50, blank=True)
    text = models.TextField(blank=True)
    details = models.JSONField(
        null=True, blank=True, editable=False, help_text="What the text needs in other languages than English."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["job_id", "id"], name="event_job"),
            models.Index(fields=["video_id", "id"], name="event_video"),
            models.Index(fields=["kind", "id"], name="event_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.job_id or ''}"
