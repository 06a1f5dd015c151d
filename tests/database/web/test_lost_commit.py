"""After a lost response to COMMIT, the file of the row is kept, because the row may exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection

from tasks.models import Video
from tasks.services.state.lost_commit import may_be_committed
from tasks.views.upload import store_upload

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)


def lose_the_response(monkeypatch: pytest.MonkeyPatch, *, commit: Callable[[], None]) -> None:
    """Replace the next COMMIT by `commit`, and lose its response."""

    def unanswered() -> None:
        commit()
        monkeypatch.undo()
        connection.errors_occurred = True
        message = "server closed the connection unexpectedly"
        raise OperationalError(message)

    monkeypatch.setattr(connection, "_commit", unanswered)


def test_file_is_kept_when_the_response_to_a_commit_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose_the_response(monkeypatch, commit=connection._commit)  # type: ignore[attr-defined]
    with pytest.raises(OperationalError):
        store_upload(title="Lecture", file=SimpleUploadedFile("lecture.mp4", b"not decoded here"))
    assert default_storage.exists(str(Video.objects.get().source))


def test_file_is_removed_when_the_commit_of_its_row_had_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_response(monkeypatch, commit=lambda: None)
    with pytest.raises(OperationalError):
        store_upload(title="Lecture", file=SimpleUploadedFile("lecture.mp4", b"not decoded here"))
    assert not Video.objects.exists()
    assert not [name for folder in default_storage.listdir("sources")[0] for name in files_under(f"sources/{folder}")]


def files_under(folder: str) -> list[str]:
    folders, files = default_storage.listdir(folder)
    return files + [name for each in folders for name in files_under(f"{folder}/{each}")]


def test_row_counts_as_committed_when_the_database_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        message = "connection refused"
        raise OperationalError(message)

    monkeypatch.setattr(connection, "cursor", refuse)
    assert may_be_committed(Video.objects.all())
