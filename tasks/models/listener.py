"""What all processes know about the listeners, which receive AWS Batch's events."""

from __future__ import annotations

from django.db import models


class Listener(models.Model):
    """The single row that all listeners write. It shows whether events arrive, and in time."""

    name = models.CharField(max_length=30, primary_key=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When a listener last read the queue.")
    event_at = models.DateTimeField(null=True, blank=True, help_text="When an event was last received.")
    late_at = models.DateTimeField(
        null=True, blank=True, help_text="When an event was last received that had waited in the queue for too long."
    )
    error_code = models.CharField(
        max_length=50, blank=True, db_default="", help_text="Code of the error of the last read of the queue."
    )
    error_message = models.TextField(blank=True, db_default="")

    def __str__(self) -> str:
        return self.name
