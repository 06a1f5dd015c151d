"""The row of a share link: everyone who has the link may watch the video, without signing in, until it expires."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from .video import Video


class ShareLink(models.Model):
    """A link to one video. Revoking it deletes the row; the link itself is made from the id and SECRET_KEY."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="share_links")
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"share link of {self.video_id} until {self.expires_at:%Y-%m-%d %H:%M}"
