"""Uploading: a title and a file become a saved video. The receiver of that save requests its job."""

from __future__ import annotations

import posixpath
import uuid
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import bridge_settings
from ..models import Video
from ..selectors.videos import shown_videos
from ..services.requests.quota import check_upload, lock_owner
from ..services.state.lost_commit import may_be_committed
from ..texts.numbers import one_decimal, short_number

_GIB = 1024**3
_NAME_LIMIT_BYTES = 200
"""File systems accept names of up to 255 bytes, and the storage may append to a name."""


class UploadForm(forms.Form):
    """Upload form. The title defaults to the file's name."""

    id = forms.UUIDField(required=False)
    """The video's id, if a script chooses it: repeating the request after a lost response adds no second video."""
    title = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        label=_("Title"),
        help_text=_("Without a title, the file’s name is used."),  # noqa: RUF001 - as printed
    )
    source = forms.FileField(
        label=_("Video file"),
        max_length=255,
        widget=forms.ClearableFileInput(attrs={"accept": "video/*,.mkv,.ts,.mts"}),
        error_messages={"required": _("Choose a video file."), "empty": _("The file is empty.")},
    )

    def clean_source(self) -> Any:
        """Reject a file that is empty or too large."""
        file = self.cleaned_data["source"]
        if problem := size_problem(file.size):
            raise forms.ValidationError(problem)
        return file

    def save(self, *, owner: Any) -> Video:
        """Store the file, then save and return the video. Raises QuotaError."""
        return store_upload(
            owner=owner,
            title=self.cleaned_data["title"],
            file=self.cleaned_data["source"],
            video_id=self.cleaned_data["id"],
        )


def store_upload(
    *, title: str, file: UploadedFile[bytes], owner: Any = None, video_id: uuid.UUID | None = None
) -> Video:
    """Store the file, then save and return the video, so that no transaction waits for the storage.

    If `video_id` is that of an earlier upload of the same owner, return its video: the first response was
    lost. If the row cannot be saved, the file is deleted. Raises QuotaError.
    """
    if video_id is not None and (known := shown_videos().filter(pk=video_id, owner=owner).first()):
        return known
    name, size_bytes = file.name or "video", file.size or 0
    check_upload(owner, size_bytes=size_bytes, direct=False)
    video = Video(
        pk=video_id or uuid.uuid4(),
        owner=owner,
        title=title or posixpath.splitext(name)[0][:200],
        source_bytes=size_bytes,
    )
    video.source.save(short_name(name), file, save=False)
    try:
        with transaction.atomic():
            lock_owner(owner)
            check_upload(owner, size_bytes=size_bytes, direct=False)
            video.save(force_insert=True)
    except BaseException:
        if not may_be_committed(Video.objects.filter(pk=video.pk)):
            video.source.delete(save=False)
        raise
    return video


def size_problem(size_bytes: int) -> str:
    """Return an error message for a file of this size, or an empty string if the size is acceptable."""
    limit_bytes = bridge_settings().upload_limit_bytes
    if size_bytes < 1:
        return gettext("The file is empty.")
    if size_bytes > limit_bytes:
        text = gettext("The file is too large ({size} GiB). The limit is {limit} GiB.")
        return text.format(size=one_decimal(size_bytes / _GIB), limit=short_number(limit_bytes / _GIB))
    return ""


def short_name(name: str) -> str:
    """Return the name, shortened to the limit of file systems, with its suffix.

    Sixty Korean characters are 180 bytes.
    """
    stem, suffix = posixpath.splitext(name)
    suffix = suffix.encode()[:20].decode(errors="ignore")
    stem = stem.encode()[: _NAME_LIMIT_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem + suffix
