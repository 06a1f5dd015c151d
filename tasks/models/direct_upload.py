"""The row of an upload that goes from a browser to the bucket in parts, past this site."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from .video import Video


class DirectUpload(models.Model):
    """One multipart upload of S3. The row goes when the upload is complete; the video's `source` names its object."""

    video = models.OneToOneField(Video, primary_key=True, on_delete=models.CASCADE, related_name="direct_upload")
    upload_id = models.TextField(help_text="S3's name of the multipart upload.")
    size_bytes = models.PositiveBigIntegerField(help_text="What the browser said the file has.")
    part_bytes = models.PositiveBigIntegerField(help_text="Size of each part but the last.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="upload_created")]

    def __str__(self) -> str:
        return f"upload of {self.video_id}"

    @property
    def parts(self) -> int:
        """How many parts the file has."""
        return -(-self.size_bytes // self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """The size of part `number`, which counts from 1."""
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)
