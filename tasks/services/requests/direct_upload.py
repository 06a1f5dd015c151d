"""Direct uploads: multipart uploads from a browser to the bucket that bypass this site.

They are begun, completed once all parts have arrived, and aborted after `upload_retention_s`. The
bucket is called before or after a transaction, never inside one. What counts is the bucket's own
report of the object, never the browser's.

An upload is that of a new video, whose source is incomplete until then, or of a new source of a video
(replace.py), whose present source stays what it is until then.
"""

from __future__ import annotations

import logging
import posixpath
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext, ngettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError, NotFoundError
from ...models import DirectUpload, Video
from ...storage.aliases import sources_bucket
from ...storage.bucket import Bucket, BucketError, NoSuchUploadError
from ...storage.parts import part_size_bytes
from ..state.locking import lock_video
from ..state.lost_commit import may_be_committed
from ..state.transition import append_event
from .delete import delete_video
from .quota import check_upload, lock_owner

logger = logging.getLogger(__name__)


class IdTakenError(ConflictError):
    """Another video or upload has the requested id."""

    code = "ID_TAKEN"


class PartsMissingError(ConflictError):
    """Parts are missing from the bucket, or incomplete; `numbers` lists them."""

    code = "PARTS_MISSING"

    def __init__(self, numbers: list[int]) -> None:
        """Store the numbers of the parts."""
        text = ngettext(
            "{number} part of the file has not arrived.", "{number} parts of the file have not arrived.", len(numbers)
        )
        super().__init__(text.format(number=len(numbers)))
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
            message = gettext("Another upload has this id. Begin again with a new one.")
            raise IdTakenError(message)
    video = Video(
        pk=video_id or uuid.uuid4(),
        owner=owner,
        title=title or posixpath.splitext(name)[0][:200],
        source_complete=False,
        source_bytes=size_bytes,
    )
    video.source.name = key = video.source.field.generate_filename(video, name)

    def saved() -> Video:
        video.save(force_insert=True)
        return video

    return begin_parts(bucket, key, owner=owner, size_bytes=size_bytes, content_type=content_type, locked_video=saved)


def begin_parts(
    bucket: Bucket, key: str, *, owner: Any, size_bytes: int, content_type: str, locked_video: Callable[[], Video]
) -> DirectUpload:
    """Begin an upload in parts to this key, and create its row for the video that `locked_video` returns.

    That is called in the transaction of the row, after the owner's quotas were checked. Raises what it raises,
    QuotaError or BucketError; neither an upload nor a row is left then.
    """
    check_upload(owner, size_bytes=size_bytes, direct=True)
    upload_id = bucket.begin_multipart_upload(key, content_type=content_type)
    try:
        with transaction.atomic():
            lock_owner(owner)
            check_upload(owner, size_bytes=size_bytes, direct=True)
            return DirectUpload.objects.create(
                video=locked_video(),
                source_name=key,
                upload_id=upload_id,
                size_bytes=size_bytes,
                part_bytes=part_size_bytes(size_bytes),
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
    held = {part.number: part.size_bytes for part in bucket.parts(upload.source_name, upload.upload_id)}
    return [number for number in range(1, upload.parts + 1) if held.get(number) != upload.bytes_of(number)]


def complete_direct_upload(*, bucket: Bucket, video_id: uuid.UUID) -> None:
    """Assemble the parts, compare the object's size with the file's, and mark the source as complete.

    The last step requests the video's job. Idempotent. Raises NotFoundError, PartsMissingError,
    UploadLostError or BucketError.
    """
    video = Video.objects.filter(pk=video_id, deleted_at=None).first()
    if video is None:
        message = gettext("The video was deleted or does not exist.")
        raise NotFoundError(message)
    upload = DirectUpload.objects.filter(video=video).first()
    if upload is None:
        if video.source_complete:
            return
        message = gettext("The upload was aborted. Upload the file again.")
        raise UploadLostError(message)
    _assemble(upload, bucket)
    size_bytes = bucket.size_bytes(upload.source_name)
    if size_bytes != upload.size_bytes:
        text = gettext("Only {stored} of {size} bytes were stored. Upload the file again.")
        message = text.format(stored=size_bytes or 0, size=upload.size_bytes)
        raise UploadLostError(message)
    try:
        _mark_complete(upload)
    except (NotFoundError, UploadLostError):
        _remove_object(upload, bucket)
        raise


def _assemble(upload: DirectUpload, bucket: Bucket) -> None:
    key = upload.source_name
    try:
        if numbers := missing_parts(upload, bucket=bucket):
            raise PartsMissingError(numbers)
        bucket.complete_upload(key, upload.upload_id, bucket.parts(key, upload.upload_id))
    except NoSuchUploadError:
        # An earlier call may have completed it and lost the response: the object's size will show.
        return


@transaction.atomic
def _mark_complete(upload: DirectUpload) -> None:
    """Make the object the video's source. Saving it requests the job: see tasks/receivers.py."""
    video = lock_video(upload.video_id)
    if video is None:
        message = gettext("The video was deleted in the meantime.")
        raise NotFoundError(message)
    removed, _ = DirectUpload.objects.filter(video=video, upload_id=upload.upload_id).delete()
    if not removed:
        if video.source_complete and str(video.source) == upload.source_name:
            return  # another call was faster
        message = gettext("The upload was aborted in the meantime. Upload the file again.")
        raise UploadLostError(message)
    replaced = video.source_complete
    video.source = upload.source_name
    video.source_bytes = upload.size_bytes
    video.source_complete = True
    video.save(update_fields=["source", "source_bytes", "source_complete"])
    append_event("source.replace" if replaced else "upload.complete", video_id=video.pk)


def abort_direct_upload(upload: DirectUpload, *, bucket: Bucket) -> None:
    """Give the upload up. A new video is deleted with it; a video with a source stays as it is. Idempotent.

    Raises BucketError; the upload is still open then.
    """
    if not upload.video.source_complete:
        delete_video(video_id=upload.video_id)
        return
    # First in the bucket: no call can complete it any more, and without the row nobody would try again.
    bucket.abort_upload(upload.source_name, upload.upload_id)
    removed, _ = DirectUpload.objects.filter(video_id=upload.video_id, upload_id=upload.upload_id).delete()
    if removed:
        _remove_object(upload, bucket)


def _remove_object(upload: DirectUpload, bucket: Bucket) -> None:
    """Remove the object that a call may have assembled, and that without the upload's row nobody makes a source."""
    try:
        bucket.delete_objects([bucket.full_key(upload.source_name)], before_call=lambda: None)
    except BucketError as error:
        # It is removed with the video.
        logger.warning("STORAGE_UNAVAILABLE %s", error)


def give_up_abandoned_uploads(*, limit: int) -> int:
    """Give up uploads that were not completed within `upload_retention_s`, and return their number.

    New videos are deleted with theirs, and purging them aborts the multipart uploads.
    """
    old = Now() - timedelta(seconds=bridge_settings().upload_retention_s)
    uploads = DirectUpload.objects.filter(created_at__lt=old, video__deleted_at=None).order_by("created_at")
    return sum(_give_up(upload) for upload in list(uploads.select_related("video")[:limit]))


def _give_up(upload: DirectUpload) -> bool:
    bucket = sources_bucket()
    if upload.video.source_complete and bucket is not None:
        try:
            abort_direct_upload(upload, bucket=bucket)
        except BucketError as error:
            logger.warning("STORAGE_UNAVAILABLE %s", error)
            return False
        return True
    return _delete_unfinished(upload.video_id)


@transaction.atomic
def _delete_unfinished(video_id: uuid.UUID) -> bool:
    """Delete the video unless its upload was completed in the meantime: completion takes the same lock."""
    video = lock_video(video_id)
    if video is None or video.source_complete or not DirectUpload.objects.filter(video_id=video_id).exists():
        return False
    delete_video(video_id=video_id)
    return True
