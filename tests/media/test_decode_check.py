"""The decode check finds a segment that does not decode before anyone sees it, even if its bytes match the manifest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import EncodeError, EncoderCrashedError, StoppedError, undecodable_units
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
        self._damaged = dict(damaged)
        self._objects = {entry["url"]: entry for entry in done.publication.manifest["objects"]}
        self.read_urls: list[str] = []

    def read(self, url: str) -> Iterator[bytes]:
        self.read_urls.append(url)
        content = bytearray((self._folder / url).read_bytes())
        if url in self._damaged:
            offset, size, *_ = self._objects[url]["segments"][self._damaged[url]]
            media = content.index(b"mdat", offset) + 4
            content[media : offset + size] = bytes(255 - byte for byte in content[media : offset + size])
        for at in range(0, len(content), 1000):
            yield bytes(content[at : at + 1000])


def _found(done: Transcoded, storage: Storage, folder: Path, *, whole: bool = False) -> list[Any]:
    stop = threading.Event()
    return [
        bad.unit for bad in undecodable_units(done.publication.manifest, storage.read, folder, whole=whole, stop=stop)
    ]


def _url(done: Transcoded, unit: int | str, rung: str | None = None) -> str:
    objects = done.publication.manifest["objects"]
    return next(str(entry["url"]) for entry in objects if (entry["unit"], entry["rung"]) == (unit, rung))


@pytest.mark.parametrize("whole", [False, True], ids=["both ends", "everything"])
def test_check_finds_nothing_when_everything_is_good(done: Transcoded, whole: bool, tmp_path: Path) -> None:
    storage = Storage(done)
    assert _found(done, storage, tmp_path, whole=whole) == []
    # Three rungs of three files each, and the audio.
    assert len(set(storage.read_urls)) == (10 if whole else 7)
    assert list(tmp_path.iterdir()) == []


def test_unit_is_not_at_fault_when_the_decoder_crashes(
    done: Transcoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text("#!/bin/sh\nkill -SEGV $$\n")
    binary.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(binary))
    with pytest.raises(EncoderCrashedError):
        _found(done, Storage(done), tmp_path)


def test_unit_is_named_when_the_first_or_last_segment_does_not_decode(done: Transcoded, tmp_path: Path) -> None:
    top = done.rungs[0]
    assert _found(done, Storage(done, (_url(done, 0, top), 0)), tmp_path) == [0]
    assert _found(done, Storage(done, (_url(done, 2, top), -1)), tmp_path) == [2]
    assert _found(done, Storage(done, (_url(done, "audio"), -1)), tmp_path) == ["audio"]


def test_unit_in_the_middle_is_named_when_everything_is_decoded(done: Transcoded, tmp_path: Path) -> None:
    storage = Storage(done, (_url(done, 1, done.rungs[-1]), 1))
    assert _found(done, storage, tmp_path) == []
    assert _found(done, storage, tmp_path, whole=True) == [1]


def test_decode_check_ends_when_stop_is_set(done: Transcoded, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        undecodable_units(done.publication.manifest, Storage(done).read, tmp_path, whole=True, stop=stop)


@pytest.mark.parametrize("code", ["NO_PROGRESS", "DISK_FULL", "DISK_FAILED"])
def test_no_unit_is_named_when_the_machine_is_at_fault(
    code: str, done: Transcoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> float:
        raise EncodeError(code=code, message="The machine failed.")

    monkeypatch.setattr("tasks.transcode.verify.decode.run_ffmpeg", fail)
    with pytest.raises(EncodeError, match=code):
        _found(done, Storage(done), tmp_path)
