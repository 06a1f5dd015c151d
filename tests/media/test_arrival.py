"""The probe of a source whose bytes still arrive waits for those that it reads, and for no others."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError, InputSuspectError, StoppedError, merged, missing, probe_source
from tasks.transcode.probe.sniff import HEAD_BYTES
from tasks.transcode.sandbox.limits import probe_limits
from tests.media.clips import make_clip
from tests.media.partial_sources import FORMATS, make_recording, remuxed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tasks.transcode import ByteRange, ByteRanges

KIB = 1024
BLOCK_BYTES = 64 * KIB
IDLE_S = 0.5


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("recording") / "recording.mp4", seconds=6)


class Arriving:
    """A sparse copy of a file, of which a block arrives when it is waited for."""

    def __init__(self, source: Path, path: Path) -> None:
        self.path = path
        self.present: ByteRanges = ()
        self.waited: list[ByteRange] = []
        self._source = source
        with path.open("wb") as file:
            file.truncate(source.stat().st_size)

    def wait_for(self, wanted: ByteRange) -> ByteRange:
        if missing((wanted,), self.present):
            self._fetch(wanted)
        return next(each for each in self.present if each[0] <= wanted[0] < each[1])

    def _fetch(self, wanted: ByteRange) -> None:
        self.waited.append(wanted)
        first, end = wanted[0] // BLOCK_BYTES * BLOCK_BYTES, -(-wanted[1] // BLOCK_BYTES) * BLOCK_BYTES
        with self._source.open("rb") as source, self.path.open("r+b") as file:
            source.seek(first)
            file.seek(first)
            file.write(source.read(end - first))
        self.present = merged((*self.present, (first, min(end, self._source.stat().st_size))))


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FORMATS)
def test_source_is_described_the_same_when_its_bytes_arrive_while_it_is_read(
    name: str, recording: Path, tmp_path: Path
) -> None:
    source = remuxed(recording, tmp_path / name, *FORMATS[name])
    arriving = Arriving(source, tmp_path / "arriving")
    assert probe_source(arriving.path, wait_for=arriving.wait_for) == probe_source(source)
    # All but the index of a Matroska file, which the probe does not need.
    assert sum(end - first for first, end in arriving.present) > 0.9 * source.stat().st_size


def test_file_is_rejected_by_its_first_bytes_when_the_others_have_not_arrived(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"%PDF-1.7" + bytes(10 * BLOCK_BYTES))
    arriving = Arriving(source, tmp_path / "arriving")
    with pytest.raises(InputRejectedError, match="PDF"):
        probe_source(arriving.path, wait_for=arriving.wait_for)
    assert arriving.present == ((0, -(-HEAD_BYTES // BLOCK_BYTES) * BLOCK_BYTES),)


@pytest.mark.parametrize("error", [OSError("the storage is down"), StoppedError()], ids=["failed", "stopped"])
def test_error_of_the_download_is_raised_when_the_probe_waits_for_it(
    error: Exception, recording: Path, tmp_path: Path
) -> None:
    arriving = Arriving(recording, tmp_path / "arriving")

    def wait_for(wanted: ByteRange) -> ByteRange:
        if len(arriving.waited) >= 3:
            raise error
        return arriving.wait_for(wanted)

    with pytest.raises(type(error)) as caught:
        probe_source(arriving.path, wait_for=wait_for)
    assert caught.value is error


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a child count as hung after half a second without progress."""
    monkeypatch.setattr(
        "tasks.transcode.probe.probe.probe_limits", lambda size: replace(probe_limits(size), idle_s=IDLE_S)
    )


def _held(arriving: Arriving, looks: int) -> tuple[Callable[[ByteRange], ByteRange], Callable[[int], None]]:
    """Return a `wait_for` that holds the third request until `reading` was called `looks` times."""
    seen = threading.Semaphore(0)

    def wait_for(wanted: ByteRange) -> ByteRange:
        if len(arriving.waited) == 2:
            for _ in range(looks):
                assert seen.acquire(timeout=60)
        return arriving.wait_for(wanted)

    return wait_for, lambda _: seen.release()


@pytest.mark.long
@pytest.mark.usefixtures("impatient")
def test_probe_is_not_taken_for_hung_when_the_storage_is_slow(recording: Path, tmp_path: Path) -> None:
    arriving = Arriving(recording, tmp_path / "arriving")
    # Four times a second, so for several times as long as a hung child has.
    wait_for, reading = _held(arriving, looks=20)
    assert probe_source(arriving.path, wait_for=wait_for, reading=reading) == probe_source(recording)


@pytest.mark.usefixtures("impatient")
def test_probe_is_taken_for_hung_when_no_answer_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    # The request is read by no one, and so never answered.
    monkeypatch.setattr("tasks.transcode.arrival.ArrivalServer._run", lambda _: None)
    with pytest.raises(InputSuspectError, match="TOO_DEMANDING"):
        probe_source(clip, wait_for=lambda wanted: wanted)
