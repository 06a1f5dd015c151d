"""A site with storages of its own for uploads and for published objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.batch.definition import render
from tasks.conf import BridgeSettings
from tasks.doctor.finding import Status
from tasks.doctor.probes.storage import check_storage
from tasks.storage.aliases import published_bucket, published_storage, sources_bucket, sources_storage, storage_of
from tasks.storage.folders import remove_folders
from tests.buckets import new_bucket, use_bucket
from tests.factories import uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

S3 = "storages.backends.s3.S3Storage"


def folder_storage(folder: Path) -> dict[str, Any]:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folders(settings: Settings, tmp_path: Path) -> dict[str, Path]:
    names = ("default", "batchreel_sources", "batchreel_published")
    found = {name: tmp_path / name for name in names}
    settings.STORAGES = {**settings.STORAGES, **{name: folder_storage(folder) for name, folder in found.items()}}
    return found


def test_storages_are_the_default_one_when_the_site_names_none() -> None:
    assert sources_storage.path("x") == published_storage.path("x") == default_storage.path("x")


@pytest.mark.django_db
def test_files_are_in_the_storage_of_their_kind_when_the_site_names_two(folders: dict[str, Path]) -> None:
    video = uploaded_video()
    published_storage.save(f"published/{video.pk}/job/master.m3u8", ContentFile(b"#EXTM3U"))
    assert len(files_in(folders["batchreel_sources"])) == 1
    assert files_in(folders["batchreel_published"]) == {"master.m3u8"}
    assert files_in(folders["default"]) == set()

    folders_of_video = (f"published/{video.pk}", f"sources/{video.pk}")
    remove_folders(*folders_of_video, names=["elsewhere/x"], before_call=lambda: None)
    assert all(files_in(folder) == set() for folder in folders.values())


@pytest.mark.parametrize(
    ("key", "is_published"),
    [("published", True), ("published/x", True), ("published2/x", False), ("sources/x", False), ("x", False)],
)
def test_key_decides_the_storage_when_there_are_two(key: str, *, is_published: bool) -> None:
    assert storage_of(key) is (published_storage if is_published else sources_storage)


def test_only_published_objects_are_in_the_bucket_when_it_is_theirs(settings: Settings, tmp_path: Path) -> None:
    s3, name = new_bucket()
    use_bucket(settings, name)
    bucket = settings.STORAGES["default"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": folder_storage(tmp_path),
        "batchreel_published": {**bucket, "OPTIONS": {**bucket["OPTIONS"], "location": "lectures"}},
    }
    published_storage.save("published/v/j/master.m3u8", ContentFile(b"#EXTM3U"))
    sources_storage.save("sources/v/a/x.mp4", ContentFile(b"source"))
    (stored,) = s3.list_objects_v2(Bucket=name)["Contents"]
    assert stored["Key"] == "lectures/published/v/j/master.m3u8"
    assert sources_bucket() is None
    assert (bucket_name := published_bucket()) is not None
    assert bucket_name.name == name
    remove_folders("published/v", "sources/v", before_call=lambda: None)
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    assert files_in(tmp_path) == set()


def test_doctor_names_each_storage_when_containers_on_aws_cannot_use_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, name = new_bucket()
    use_bucket(settings, name)
    bucket = settings.STORAGES["default"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**bucket, "OPTIONS": {**bucket["OPTIONS"], "location": "lectures"}},
        "batchreel_sources": folder_storage(tmp_path),
    }
    settings.BATCHREEL = {"container_settings_module": "other.settings"}
    monkeypatch.setattr("tasks.doctor.probes.storage._aws_is_local", lambda: False)
    published, sources = check_storage()
    assert (published.part, published.status) == ("storage", Status.WARNING)
    assert "below 'lectures'" in published.why
    assert (sources.part, sources.status) == ("storage batchreel_sources", Status.WARNING)
    assert f"Files are in {tmp_path}" in sources.why

    settings.BATCHREEL = {}  # containers run with this site's own settings
    assert [each.status for each in check_storage()] == [Status.OK, Status.WARNING]


def test_containers_run_the_sites_image_when_it_names_command_and_settings() -> None:
    conf = BridgeSettings(container_command=["/entry", "transcode"], container_settings_module="mysite.settings")
    container = render(conf, region="eu-central-1")["containerProperties"]
    assert container["command"] == ["/entry", "transcode", "Ref::job_id", "Ref::attempt"]
    assert {"name": "DJANGO_SETTINGS_MODULE", "value": "mysite.settings"} in container["environment"]
