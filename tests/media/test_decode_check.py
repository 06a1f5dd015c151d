"""The decode check finds a segment that does not decode before anyone sees it, even if its bytes match the manifest."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import EncodeError, EncoderCrashedError, StoppedError, verify_media
from tasks.transcode.sandbox.ffmpeg import run_ffmpeg
from tests.media.clips import make_clip
from tests.media.runs import Transcode, Transcoded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Five seconds with audio in three units. Tests must not change it."""
    folder = tmp_path_factory.mktemp("decoded")
    return Transcode(folder)(make_clip(folder / "a.mp4", frames=150, audio_s=5.0))


class Storage:
    """The output's objects; in some segments the media data is noise, in intact boxes."""

    def __init__(self, done: Transcoded, *damaged: tuple[str, int]) -> None:
        """Take `damaged` as (URL, number of the segment whose media data becomes noise)."""
        self._folder = done.run.folder
        self._manifest = done.publication.manifest
        self._damaged = dict(damaged)
        self._objects = {entry["url"]: entry for entry in done.publication.manifest["objects"]}
        self.read_bytes: Counter[str] = Counter()
        """By URL."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, with the checksums of the damaged objects."""
        sums = {url: hashlib.sha256(self._content(url)).hexdigest() for url in self._damaged}
        objects = [entry | {"sha256": sums.get(url, entry["sha256"])} for url, entry in self._objects.items()]
        return self._manifest | {"objects": objects}

    def read(self, url: str) -> Iterator[bytes]:
        content = self._content(url)
        for at in range(0, len(content), 1000):
            block = content[at : at + 1000]
            self.read_bytes[url] += len(block)
            yield block

    def _content(self, url: str) -> bytes:
        content = bytearray((self._folder / url).read_bytes())
        if url in self._damaged:
            offset, *_ = self._objects[url]["segments"][self._damaged[url]]
            media = content.index(b"mdat", offset) + 4
            end = media - 8 + int.from_bytes(content[media - 8 : media - 4])
            content[media:end] = bytes(255 - byte for byte in content[media:end])
        return bytes(content)


def _found(storage: Storage, folder: Path, *, whole: bool = False) -> list[Any]:
    found = verify_media(storage.manifest, storage.read, folder, whole=whole, stop=threading.Event(), connections=2)
    assert all("cannot be decoded" in bad.reason for bad in found)
    return [bad.unit for bad in found]


def _url(done: Transcoded, unit: int | str, rung: str | None = None) -> str:
    objects = done.publication.manifest["objects"]
    return next(str(entry["url"]) for entry in objects if (entry["unit"], entry["rung"]) == (unit, rung))


@pytest.mark.parametrize("whole", [False, True], ids=["both ends", "everything"])
def test_each_object_is_read_once_when_it_is_verified_and_decoded(
    done: Transcoded, whole: bool, tmp_path: Path
) -> None:
    storage = Storage(done)
    assert _found(storage, tmp_path, whole=whole) == []
    assert storage.read_bytes == {entry["url"]: entry["bytes"] for entry in storage.manifest["objects"]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [False, True], ids=["both ends", "everything"])
def test_only_what_is_decoded_is_on_the_disk_when_objects_are_read_back(
    done: Transcoded, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_run, seen = run_ffmpeg, []

    def run(*arguments: Any, **options: Any) -> float:
        seen.append(len(list(tmp_path.iterdir())))
        return real_run(*arguments, **options)

    monkeypatch.setattr("tasks.transcode.verify.decode.run_ffmpeg", run)
    assert _found(Storage(done), tmp_path, whole=whole) == []
    # Three rungs of three files each, and the audio: one at a time, or both ends of each track at once.
    assert seen == ([1] * 10 if whole else [8])


def test_kept_excerpts_are_deleted_when_reading_fails(done: Transcoded, tmp_path: Path) -> None:
    storage = Storage(done)

    def read(url: str) -> Iterator[bytes]:
        yield from storage.read(url)
        if url == _url(done, 2):
            raise StoppedError

    with pytest.raises(StoppedError):
        verify_media(storage.manifest, read, tmp_path, whole=False, stop=threading.Event())
    assert list(tmp_path.iterdir()) == []


def test_unit_is_not_at_fault_when_the_decoder_crashes(
    done: Transcoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text("#!/bin/sh\nkill -SEGV $$\n")
    binary.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(binary))
    with pytest.raises(EncoderCrashedError):
        _found(Storage(done), tmp_path)


def test_unit_is_named_when_the_first_or_last_segment_does_not_decode(done: Transcoded, tmp_path: Path) -> None:
    top = done.rungs[0]
    assert _found(Storage(done, (_url(done, 0, top), 0)), tmp_path) == [0]
    assert _found(Storage(done, (_url(done, 2, top), -1)), tmp_path) == [2]
    assert _found(Storage(done, (_url(done, "audio"), -1)), tmp_path) == ["audio"]


def test_unit_in_the_middle_is_named_when_everything_is_decoded(done: Transcoded, tmp_path: Path) -> None:
    storage = Storage(done, (_url(done, 1, done.rungs[-1]), 1))
    assert _found(storage, tmp_path) == []
    assert _found(storage, tmp_path, whole=True) == [1]


def test_decode_check_ends_when_stop_is_set(done: Transcoded, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        verify_media(done.publication.manifest, Storage(done).read, tmp_path, whole=True, stop=stop)


@pytest.mark.parametrize("code", ["NO_PROGRESS", "DISK_FULL", "DISK_FAILED"])
def test_no_unit_is_named_when_the_machine_is_at_fault(
    code: str, done: Transcoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> float:
        raise EncodeError(code=code, message="The machine failed.")

    monkeypatch.setattr("tasks.transcode.verify.decode.run_ffmpeg", fail)
    with pytest.raises(EncodeError, match=code):
        _found(Storage(done), tmp_path)
