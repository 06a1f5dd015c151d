"""The row of a direct upload: a multipart upload from a browser to the bucket, bypassing this site."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .video import Video


class DirectUpload(models.Model):
    """One S3 multipart upload. The row is deleted when the upload is complete; the video's `source` is its object."""

    video = models.OneToOneField(Video, primary_key=True, on_delete=models.CASCADE, related_name="direct_upload")
    upload_id = models.TextField(help_text="S3's id of the multipart upload.")
    size_bytes = models.PositiveBigIntegerField(help_text="Size of the file, as reported by the browser.")
    part_bytes = models.PositiveBigIntegerField(help_text="Size of each part except the last.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="upload_created")]

    def __str__(self) -> str:
        return f"upload of {self.video_id}"

    @property
    def parts(self) -> int:
        """Number of parts of the file."""
        return -(-self.size_bytes // self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """Return the size of part `number`, counted from 1."""
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)
