"""What clients have begun: direct uploads to the bucket, and requests with an Idempotency-Key."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .video import Video


class DirectUpload(models.Model):
    """One S3 multipart upload, that of a new video or of a new source of one. Deleted when the upload is complete."""

    video = models.OneToOneField(Video, primary_key=True, on_delete=models.CASCADE, related_name="direct_upload")
    source_name = models.CharField(
        max_length=500, help_text="Storage name of the file, which the video's source will be or already is."
    )
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


class IdempotencyKey(models.Model):
    """A request of the API with an Idempotency-Key: running, ended with a response, or free to be tried again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64, help_text="SHA-256 of method, path and content.")
    target_id = models.UUIDField(
        default=uuid.uuid4, help_text="Id of what the request creates, the same in each of its tries."
    )
    claim_id = models.UUIDField(default=uuid.uuid4, help_text="The try that may write the response.")
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="When that try began; empty if none is running.")
    status_code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty without a response.")
    response = models.TextField(blank=True, db_default="", help_text="Headers and body, encrypted: some have secrets.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], name="one_request_per_idempotency_key"),
            models.CheckConstraint(
                condition=Q(status_code=None) | Q(claimed_at=None), name="answered_request_is_not_running"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_created")]

    def __str__(self) -> str:
        return self.key
