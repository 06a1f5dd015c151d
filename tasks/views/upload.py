"""Uploading: a title and a file become a saved video. The receiver of that save asks for its job."""

from __future__ import annotations

import posixpath
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from ..conf import bridge_settings
from ..models import Video
from ..services.state.lost_commit import may_be_committed

_GIB = 1024**3
_NAME_LIMIT_BYTES = 200
"""File systems take names of 255 bytes, and the storage may add some to a name."""


class UploadForm(forms.Form):
    """What a person fills in. Without a title, the file's name is the title."""

    title = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}), label="Title"
    )
    source = forms.FileField(
        label="Video file",
        max_length=255,
        widget=forms.ClearableFileInput(attrs={"accept": "video/*,.mkv,.ts,.mts"}),
        error_messages={"required": "Choose a video file.", "empty": "The file is empty."},
    )

    def clean_source(self) -> Any:
        """Refuse a file that is too large."""
        file = self.cleaned_data["source"]
        if problem := size_problem(file.size):
            raise forms.ValidationError(problem)
        return file

    def save(self, *, owner: Any) -> Video:
        """Store the file, then save the video."""
        return store_upload(owner=owner, title=self.cleaned_data["title"], file=self.cleaned_data["source"])


def store_upload(*, title: str, file: UploadedFile[bytes], owner: Any = None) -> Video:
    """Store the file first, then save the row: no transaction waits for the storage. A row that can't be saved leaves no file."""
    name = file.name or "video"
    video = Video(owner=owner, title=title or posixpath.splitext(name)[0][:200])
    video.source.save(short_name(name), file, save=False)
    try:
        with transaction.atomic():
            video.save(force_insert=True)
    except BaseException:
        if not may_be_committed(Video.objects.filter(pk=video.pk)):
            video.source.delete(save=False)
        raise
    return video


def size_problem(size_bytes: int) -> str:
    """What is wrong with a file of this size; empty where nothing is."""
    limit_bytes = bridge_settings().upload_limit_bytes
    if size_bytes < 1:
        return "The file is empty."
    if size_bytes > limit_bytes:
        return f"The file has {size_bytes / _GIB:.1f} GiB; this site takes up to {limit_bytes / _GIB:g} GiB."
    return ""


def short_name(name: str) -> str:
    """The name, cut to what file systems take, its suffix kept. Sixty letters of Korean are a hundred and eighty bytes."""
    stem, suffix = posixpath.splitext(name)
    suffix = suffix.encode()[:20].decode(errors="ignore")
    stem = stem.encode()[: _NAME_LIMIT_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem + suffix
