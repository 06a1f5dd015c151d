"""A slot of a container waits for another one's download only for bytes that both need."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.container.context import ContainerContext
from tasks.container.progress import Progress
from tasks.services.container_api.claim import Claim
from tasks.storage.bucket import Bucket
from tests.buckets import use_new_bucket
from tests.contract.test_container_source import MIB, allocated, served_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tasks.transcode import ByteRange, ByteRanges

SIZE_BYTES = 6 * MIB
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(SIZE_BYTES // 4))
SMALL = ((4 * MIB, 5 * MIB),)
LIMIT_S = 20
"""Long enough for everything that does not wait."""


class Gated:
    """A reservation that waits for the gate if more than a small unit wants room."""

    held_mib = 0

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def reserve(self, path: Path, ranges: ByteRanges, **_: Any) -> None:
        if ranges != SMALL:
            assert self._gate.wait(60)
        allocated(path, ranges)


@pytest.fixture
def slots() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def gate(slots: ThreadPoolExecutor) -> Iterator[threading.Event]:
    """Yield an event that is set at the latest when the test ends, so that no slot waits any longer."""
    assert slots
    event = threading.Event()
    yield event
    event.set()


def make_context(folder: Path, settings: Settings, reservation: Gated) -> ContainerContext:
    use_new_bucket(settings)
    settings.BATCHREEL = {"fetch_range_mib": 1, "fetch_connections": 1}
    default_storage.save("source", ContentFile(CONTENT))
    claim = Claim(
        attempt_id=1,
        job_id=uuid.uuid4(),
        number=1,
        claim_id=uuid.uuid4(),
        vcpus=2,
        source_name="source",
        profile="fast",
    )
    return ContainerContext(
        claim=claim,
        folder=folder,
        database=lambda _: None,  # type: ignore[arg-type,return-value] # nothing is read from the rows
        reservation=reservation,  # type: ignore[arg-type] # on an endless disk
        progress=Progress(),
        stop=threading.Event(),
    )


def test_small_unit_proceeds_when_another_slot_fetches_the_whole_source(
    slots: ThreadPoolExecutor,
    gate: threading.Event,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_read, has_begun, room = Bucket.read, threading.Event(), threading.Event()
    room.set()

    def read(bucket: Bucket, key: str, *, byte_range: ByteRange, **others: Any) -> Iterator[bytes]:
        if byte_range[0] == 0:
            has_begun.set()
            assert gate.wait(60)
        yield from real_read(bucket, key, byte_range=byte_range, **others)

    monkeypatch.setattr(Bucket, "read", read)
    context, before = make_context(tmp_path, settings, Gated(room)), served_bytes()
    everything = slots.submit(context.source, 0)
    assert has_begun.wait(LIMIT_S)
    for _ in ("fetched", "present"):
        small = slots.submit(context.source, 1, SMALL, size_bytes=SIZE_BYTES).result(LIMIT_S)
        assert small.present == SMALL
        assert small.path.read_bytes()[4 * MIB : 5 * MIB] == CONTENT[4 * MIB : 5 * MIB]
    also_everything = slots.submit(context.source, 1)
    gate.set()
    for each in (everything, also_everything):
        assert each.result(LIMIT_S).present is None
    assert (tmp_path / "source").read_bytes() == CONTENT
    assert served_bytes() - before == SIZE_BYTES, "something was fetched twice"


def test_small_unit_proceeds_when_another_slot_waits_for_room_on_the_disk(
    slots: ThreadPoolExecutor, gate: threading.Event, settings: Settings, tmp_path: Path
) -> None:
    context = make_context(tmp_path, settings, Gated(gate))
    everything = slots.submit(context.source, 0)
    small = slots.submit(context.source, 1, SMALL, size_bytes=SIZE_BYTES).result(LIMIT_S)
    assert small.present == SMALL
    assert not everything.done()
    gate.set()
    assert everything.result(LIMIT_S).present is None
    assert (tmp_path / "source").read_bytes() == CONTENT
