"""Direct uploads: multipart uploads from a browser to the bucket that bypass this site.

They are begun, completed once all parts have arrived, and aborted after `upload_retention_s`. The
bucket is called before or after a transaction, never inside one. What counts is the bucket's own
report of the object, never the browser's.
"""

from __future__ import annotations

import posixpath
import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError, NotFoundError
from ...models import DirectUpload, Video
from ...storage.bucket import Bucket, NoSuchUploadError
from ...storage.parts import part_size_bytes
from ..state.locking import lock_video
from ..state.lost_commit import may_be_committed
from ..state.transition import append_event
from .delete import delete_video
from .quota import check_upload, lock_owner


class IdTakenError(ConflictError):
    """Another video or upload has the requested id."""

    code = "ID_TAKEN"


class PartsMissingError(ConflictError):
    """Parts are missing from the bucket, or incomplete; `numbers` lists them."""

    code = "PARTS_MISSING"

    def __init__(self, numbers: list[int]) -> None:
        """Store the numbers of the parts."""
        super().__init__(f"{len(numbers)} parts of the file have not arrived.")
        self.numbers = numbers


class UploadLostError(ConflictError):
    """The bucket has neither the parts nor an object of the file's size: the file must be uploaded again."""

    code = "UPLOAD_LOST"


def begin_direct_upload(
    *,
    bucket: Bucket,
    owner: Any,
    title: str,
    name: str,
    size_bytes: int,
    content_type: str,
    video_id: uuid.UUID | None = None,
) -> DirectUpload:
    """Begin the upload of a file, and create its video with an incomplete source.

    If `video_id` names an unfinished upload of the same owner and size, return that one: the first
    response was lost. Raises IdTakenError, QuotaError or BucketError; no row is left then.
    """
    if video_id is not None:
        known = DirectUpload.objects.select_related("video").filter(
            video_id=video_id, video__owner=owner, video__deleted_at=None, size_bytes=size_bytes
        )
        if upload := known.first():
            return upload
        if Video.objects.filter(pk=video_id).exists():
            message = "Another upload has this id. Begin again with a new one."
            raise IdTakenError(message)
    check_upload(owner, size_bytes=size_bytes, direct=True)
    video = Video(
        pk=video_id or uuid.uuid4(),
        owner=owner,
        title=title or posixpath.splitext(name)[0][:200],
        source_complete=False,
        source_bytes=size_bytes,
    )
    video.source.name = key = video.source.field.generate_filename(video, name)
    upload_id = bucket.begin_multipart_upload(key, content_type=content_type)
    try:
        with transaction.atomic():
            lock_owner(owner)
            check_upload(owner, size_bytes=size_bytes, direct=True)
            video.save(force_insert=True)
            return DirectUpload.objects.create(
                video=video, upload_id=upload_id, size_bytes=size_bytes, part_bytes=part_size_bytes(size_bytes)
            )
    except BaseException:
        # Look up the upload, not the video: another request may have inserted a row with this video id.
        if not may_be_committed(DirectUpload.objects.filter(upload_id=upload_id)):
            bucket.abort_upload(key, upload_id)
        raise


def missing_parts(upload: DirectUpload, *, bucket: Bucket) -> list[int]:
    """Return the numbers of the parts that are missing from the bucket or incomplete.

    Raises BucketError, and NoSuchUploadError once the upload is complete.
    """
    held = {part.number: part.size_bytes for part in bucket.parts(str(upload.video.source), upload.upload_id)}
    return [number for number in range(1, upload.parts + 1) if held.get(number) != upload.bytes_of(number)]


def complete_direct_upload(*, bucket: Bucket, video_id: uuid.UUID) -> None:
    """Assemble the parts, compare the object's size with the file's, and mark the source as complete.

    The last step requests the video's job. Idempotent. Raises NotFoundError, PartsMissingError,
    UploadLostError or BucketError.
    """
    video = Video.objects.filter(pk=video_id, deleted_at=None).first()
    if video is None:
        message = f"no video {video_id}"
        raise NotFoundError(message)
    upload = DirectUpload.objects.filter(video=video).first()
    if upload is None:
        if video.source_complete:
            return
        message = "The upload was aborted. Upload the file again."
        raise UploadLostError(message)
    upload.video = video
    _assemble(upload, bucket)
    size_bytes = bucket.size_bytes(str(video.source))
    if size_bytes != upload.size_bytes:
        message = f"Only {size_bytes or 0} of {upload.size_bytes} bytes were stored. Upload the file again."
        raise UploadLostError(message)
    _mark_complete(video_id)


def _assemble(upload: DirectUpload, bucket: Bucket) -> None:
    key = str(upload.video.source)
    try:
        if numbers := missing_parts(upload, bucket=bucket):
            raise PartsMissingError(numbers)
        bucket.complete_upload(key, upload.upload_id, bucket.parts(key, upload.upload_id))
    except NoSuchUploadError:
        # An earlier call may have completed it and lost the response: the object's size will show.
        return


@transaction.atomic
def _mark_complete(video_id: uuid.UUID) -> None:
    video = lock_video(video_id)
    if video is None:
        message = "The video was deleted in the meantime."
        raise NotFoundError(message)
    DirectUpload.objects.filter(video=video).delete()
    if not video.source_complete:
        video.source_complete = True
        video.save(update_fields=["source_complete"])
        append_event("upload.complete", video_id=video.pk)


def delete_abandoned_uploads(*, limit: int) -> int:
    """Delete videos whose upload was never completed within `upload_retention_s`, and return their number.

    Purging them aborts the multipart uploads.
    """
    old = Now() - timedelta(seconds=bridge_settings().upload_retention_s)
    uploads = DirectUpload.objects.filter(created_at__lt=old, video__deleted_at=None).order_by("created_at")
    return sum(_give_up(video_id) for video_id in list(uploads.values_list("video_id", flat=True)[:limit]))


@transaction.atomic
def _give_up(video_id: uuid.UUID) -> bool:
    """Delete the video unless its upload was completed in the meantime: completion takes the same lock."""
    if lock_video(video_id) is None or not DirectUpload.objects.filter(video_id=video_id).exists():
        return False
    delete_video(video_id=video_id)
    return True
