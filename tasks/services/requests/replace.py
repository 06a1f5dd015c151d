"""Replacing the source of a video: its address stays, and what is published plays until the new version is.

A video has one open upload at a time. The new source becomes the video's own only when it is complete;
saving it requests its job, which cancels one for the older source (request.py). The purge tick removes the older one.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.utils import validate_file_name
from django.db import transaction
from django.utils.translation import gettext

from ...lifecycle.errors import ConflictError, NotFoundError
from ...models import DirectUpload, Job, Video
from ...storage.aliases import sources_storage
from ...storage.bucket import Bucket
from ...storage.keys import source_folder
from ..state.locking import lock_video
from ..state.lost_commit import may_be_committed
from ..state.transition import append_event
from .direct_upload import begin_parts
from .quota import check_upload, lock_owner


class UploadOpenError(ConflictError):
    """The video has an upload that is not complete: of another file, or its first."""

    code = "UPLOAD_OPEN"


def begin_replacement(
    *,
    bucket: Bucket,
    video_id: uuid.UUID,
    owner: Any,
    name: str,
    size_bytes: int,
    content_type: str,
    version: uuid.UUID,
) -> DirectUpload:
    """Begin the upload of a new source. If that of this version is open, return it: its response was lost.

    An open upload of the same size may be of another file, whose parts must not be mixed with those of this one.
    `owner` is the user whose quotas apply, or None for operators. Raises NotFoundError, UploadOpenError,
    QuotaError or BucketError; no row is left then.
    """
    video = Video.objects.filter(pk=video_id, deleted_at=None).first()
    if video is None:
        raise _not_found()
    folder = source_folder(video, version)
    if known := _open_upload(video, folder=folder):
        return known
    return begin_parts(
        bucket,
        _key(folder, name),
        owner=owner,
        size_bytes=size_bytes,
        content_type=content_type,
        locked_video=lambda: _locked_without_upload(video_id),
    )


def replace_source(
    *, video_id: uuid.UUID, owner: Any, name: str, file: UploadedFile[bytes], version: uuid.UUID
) -> None:
    """Store a file that came through the site, then make it the video's source.

    A no-op if this version has become the source before: the response was lost.

    `owner` as above. Raises NotFoundError, UploadOpenError or QuotaError; the file is deleted then.
    """
    size_bytes = file.size or 0
    video = Video.objects.filter(pk=video_id, deleted_at=None).first()
    if video is None:
        raise _not_found()
    folder = source_folder(video, version)
    if _was_stored(video, folder):
        return
    _open_upload(video)
    check_upload(owner, size_bytes=size_bytes, direct=False)
    stored = sources_storage.save(_key(folder, name), file)
    try:
        with transaction.atomic():
            lock_owner(owner)
            locked = _locked_without_upload(video_id)
            check_upload(owner, size_bytes=size_bytes, direct=False)
            locked.source, locked.source_bytes, locked.source_complete = stored, size_bytes, True
            locked.save(update_fields=["source", "source_bytes", "source_complete"])
            append_event("source.replace", video_id=video_id)
    except BaseException:
        if not may_be_committed(Video.objects.filter(pk=video_id, source=stored)):
            sources_storage.delete(stored)
        raise


def _locked_without_upload(video_id: uuid.UUID) -> Video:
    video = lock_video(video_id)
    if video is None:
        raise _not_found()
    _open_upload(video)
    return video


def _was_stored(video: Video, folder: str) -> bool:
    """Return whether the video's source is in this folder, or was until it was replaced."""
    inside = f"{folder}/"
    jobs = Job.objects.filter(video=video, source_name__startswith=inside)
    return str(video.source).startswith(inside) or jobs.exists()


def _key(folder: str, name: str) -> str:
    """Return the storage name of a source, as its field would make it. Raises SuspiciousFileOperation."""
    return sources_storage.generate_filename(validate_file_name(f"{folder}/{name}", allow_relative_path=True))


def _open_upload(video: Video, *, folder: str = "") -> DirectUpload | None:
    """Return the video's open upload to this folder, if there is one. Raises UploadOpenError for any other."""
    upload = DirectUpload.objects.select_related("video").filter(video=video).first()
    if upload is None:
        return None
    if folder and upload.source_name.startswith(f"{folder}/"):
        return upload
    message = gettext("Another upload for this video is open. Complete it, or abort it first.")
    raise UploadOpenError(message)


def _not_found() -> NotFoundError:
    message = gettext("The video was deleted or does not exist.")
    return NotFoundError(message)
