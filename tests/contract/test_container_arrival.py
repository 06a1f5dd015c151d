"""The container that makes the plan reads each byte of the source once from the storage, and probes it meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage

from tasks.container.scratch import source as container_source
from tasks.container.scratch.source import SourceCopy
from tasks.storage.bucket import Bucket, BucketError
from tasks.transcode import PROFILES, InputRejectedError, StoppedError, missing, probe_source
from tasks.transcode.plan.source_reads import WHOLE_BELOW_BYTES
from tests.buckets import use_new_bucket
from tests.contract.test_container_partial_source import Container
from tests.contract.test_container_source import served_bytes
from tests.growing_job import example_plan
from tests.media.partial_sources import FORMATS, make_recording, planned, remuxed
from tests.polling import wait_for as wait_for_condition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tasks.transcode import ByteRange, ByteRanges

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("recording") / "recording.mp4", seconds=12)


@pytest.fixture(autouse=True)
def _bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    use_new_bucket(settings)
    settings.BATCHREEL = {"fetch_range_mib": 1, "fetch_connections": 1}
    monkeypatch.setattr(container_source, "_PARTS_OF_STEP", 1)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[ByteRanges]:
    """Let the download continue only while the probe waits for bytes, or has ended; return the list of its steps."""
    real_wait_for, real_take, real_probe = SourceCopy._wait_for, SourceCopy._take, probe_source
    is_over = threading.Event()
    awaited: list[ByteRange] = []
    steps: list[ByteRanges] = []

    def wait_for(copy: SourceCopy, wanted: ByteRange, *others: Any) -> ByteRange:
        with copy._changed:  # until it waits
            awaited[:] = [wanted]
            return real_wait_for(copy, wanted, *others)

    def take(copy: SourceCopy, *arguments: Any) -> ByteRanges:
        def may_continue() -> bool:
            with copy._changed:
                return is_over.is_set() or bool(missing(awaited, copy._present))

        wait_for_condition(may_continue, what="the probe to wait for bytes")
        step = real_take(copy, *arguments)
        if not is_over.is_set():
            steps.append(step)
        return step

    def probe(*arguments: Any, **options: Any) -> Any:
        try:
            return real_probe(*arguments, **options)
        finally:
            is_over.set()

    monkeypatch.setattr(SourceCopy, "_wait_for", wait_for)
    monkeypatch.setattr(SourceCopy, "_take", take)
    monkeypatch.setattr("tasks.container.units.plan.probe_source", probe)
    return steps


def stored(path: Path) -> int:
    """Store a file as the source; return how many bytes of all sources have been read until now."""
    with path.open("rb") as file:
        default_storage.save("source", file)
    return served_bytes()


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FORMATS)
def test_source_is_probed_while_it_is_fetched_when_it_is_in_a_bucket(
    name: str, recording: Path, tmp_path: Path, steps: list[ByteRanges]
) -> None:
    source = remuxed(recording, tmp_path / name, *FORMATS[name])
    before = stored(source)
    container = Container(example_plan(), tmp_path / "container")
    assert container.plan() == planned(source, whole_below_bytes=WHOLE_BELOW_BYTES, profile=PROFILES["fast"]).to_json()
    assert len(steps) >= 4, "most of it was fetched before the probe read it"
    assert served_bytes() - before == source.stat().st_size
    assert (tmp_path / "container" / "source").read_bytes() == source.read_bytes()


def test_end_of_the_source_is_fetched_first_when_its_index_is_there(
    recording: Path, tmp_path: Path, steps: list[ByteRanges]
) -> None:
    source = remuxed(recording, tmp_path / "index last.mp4")
    size_bytes = source.stat().st_size
    stored(source)
    Container(example_plan(), tmp_path / "container").plan()
    last = (size_bytes - 1) // MIB * MIB
    assert steps[:3] == [((0, MIB),), ((last, size_bytes),), ((MIB, 2 * MIB),)]


def test_download_ends_when_the_file_is_rejected(tmp_path: Path, steps: list[ByteRanges]) -> None:
    text = tmp_path / "a.mp4"
    text.write_bytes(b"%PDF-1.7" + bytes(8 * MIB))
    before = stored(text)
    with pytest.raises(InputRejectedError, match="PDF"):
        Container(example_plan(), tmp_path / "container").plan()
    assert steps == [((0, MIB),)]
    # What was about to be fetched at that moment may be complete.
    assert served_bytes() - before <= 2 * MIB


def test_storage_is_at_fault_when_it_fails_while_the_probe_waits(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(recording)
    real_read = Bucket.read

    def read(bucket: Bucket, key: str, *, byte_range: ByteRange, **others: Any) -> Iterator[bytes]:
        if byte_range[0] >= 2 * MIB:
            message = "the bucket is gone"
            raise BucketError(message)
        yield from real_read(bucket, key, byte_range=byte_range, **others)

    monkeypatch.setattr(Bucket, "read", read)
    with pytest.raises(BucketError, match="the bucket is gone"):
        Container(example_plan(), tmp_path / "container").plan()


def test_plan_ends_at_once_when_the_container_is_stopped_while_the_probe_waits(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(recording)
    container = Container(example_plan(), tmp_path / "container")
    real_read = Bucket.read

    def read(bucket: Bucket, key: str, *, byte_range: ByteRange, **others: Any) -> Iterator[bytes]:
        if byte_range[0] >= 2 * MIB:
            container.context.stop.set()
        yield from real_read(bucket, key, byte_range=byte_range, **others)

    monkeypatch.setattr(Bucket, "read", read)
    with pytest.raises(StoppedError):
        container.plan()
