"""What is offered decodes: a segment that does not is found before anyone sees it, even where its bytes are those that were made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import StoppedError, undecodable_units
from tests.media.clips import make_clip
from tests.media.runs import Transcode, Transcoded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Five seconds with sound in three units. Tests must not change it."""
    folder = tmp_path_factory.mktemp("decoded")
    return Transcode(folder)(make_clip(folder / "a.mp4", pictures=150, audio_s=5.0))


class Storage:
    """The output's objects; some of their pictures are noise, in boxes that are whole."""

    def __init__(self, done: Transcoded, *damaged: tuple[str, int]) -> None:
        """`damaged` are (address, number of the segment from which noise is put in)."""
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


def _address(done: Transcoded, unit: int | str, rung: str | None = None) -> str:
    objects = done.publication.manifest["objects"]
    return next(str(entry["url"]) for entry in objects if (entry["unit"], entry["rung"]) == (unit, rung))


@pytest.mark.parametrize("whole", [False, True], ids=["both ends", "everything"])
def test_nothing_is_found_when_all_is_well(done: Transcoded, whole: bool, tmp_path: Path) -> None:
    storage = Storage(done)
    assert _found(done, storage, tmp_path, whole=whole) == []
    # Three rungs of three files each, and the sound.
    assert len(set(storage.read_urls)) == (10 if whole else 7)
    assert list(tmp_path.iterdir()) == []


def test_unit_is_named_when_the_first_or_last_segment_does_not_decode(done: Transcoded, tmp_path: Path) -> None:
    top = done.rungs[0]
    assert _found(done, Storage(done, (_address(done, 0, top), 0)), tmp_path) == [0]
    assert _found(done, Storage(done, (_address(done, 2, top), -1)), tmp_path) == [2]
    assert _found(done, Storage(done, (_address(done, "audio"), -1)), tmp_path) == ["audio"]


def test_unit_in_the_middle_is_named_when_everything_is_decoded(done: Transcoded, tmp_path: Path) -> None:
    storage = Storage(done, (_address(done, 1, done.rungs[-1]), 1))
    assert _found(done, storage, tmp_path) == []
    assert _found(done, storage, tmp_path, whole=True) == [1]


def test_decoding_ends_when_it_is_told_to_stop(done: Transcoded, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        undecodable_units(done.publication.manifest, Storage(done).read, tmp_path, whole=True, stop=stop)
