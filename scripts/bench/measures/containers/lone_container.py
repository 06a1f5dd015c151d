"""One container that does all units of a job, without rows: what it reads from the storage and from its disk.

Run by `moved_bytes`, which sets up Django, with FOLDER URL SIZE_BYTES; writes JSON to stdout. The project's
modules come from PYTHONPATH, so that another checkout can be measured in the same way.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

from django.conf import settings

from tasks.container.context import ContainerContext
from tasks.container.progress import Progress
from tasks.container.scratch import source as container_source
from tasks.container.units import plan as plan_unit
from tasks.container.units.run import run_unit
from tasks.lifecycle.states import UnitKind
from tasks.services.container_api.claim import Claim, Lease
from tasks.services.container_api.publish import FinishedUnit
from tasks.storage.parts import StoredObject
from tasks.transcode import PROFILES, Plan, ProfileRung

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNGS = (ProfileRung(108, 20, 2_000_000), ProfileRung(60, 20, 1_000_000))
PROFILE = dataclasses.replace(PROFILES["fast"], rungs=RUNGS, preset="ultrafast")
_POLL_S = 0.1
_BLOCK_BYTES = 512


class _Bucket:
    """A bucket with one object, behind HTTP: what is received from a socket does not count as read from a disk."""

    def __init__(self, url: str, size_bytes: int) -> None:
        self._address, self._size_bytes = urlsplit(url).netloc, size_bytes
        self._lock = threading.Lock()
        self.served_bytes = 0

    def find(self, _: str) -> StoredObject:
        return StoredObject(self._size_bytes, "etag")

    def read(self, _: str, *, block_bytes: int, byte_range: tuple[int, int], **__: object) -> Iterator[bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        connection.request("GET", "/", headers={"Range": f"bytes={byte_range[0]}-{byte_range[1] - 1}"})
        response = connection.getresponse()
        while block := response.read(block_bytes):
            with self._lock:
                self.served_bytes += len(block)
            yield block
        connection.close()


class _Endless:
    """A reservation on an endless disk."""

    held_mib = 0

    def reserve(self, path: Path, ranges: Any, **_: Any) -> None:
        with path.open("ab") as file:
            for first, end in ranges:
                os.posix_fallocate(file.fileno(), first, end - first)


class _Rows:
    """Remembers what the units would write to the rows."""

    def __init__(self) -> None:
        self.plan: dict[str, Any] = {}
        self.published = False
        self.lease: Lease | None = None
        self._finished: list[FinishedUnit] = []

    def __call__(self, service: Any) -> Any:
        name, values = service.func.__name__, service.keywords
        if name == "finish_plan":
            self.plan = values["plan"]
        elif name == "read_plan":
            return self.plan
        elif name == "finish_unit" and self.lease:
            made = {"kind": self.lease.kind, "index": self.lease.index, "output": values["output"]}
            self._finished.append(FinishedUnit(**made, fence=1, redo_count=0))
        elif name == "finished_units":
            return self._finished
        elif name == "publish":
            self.published = True
        elif name != "record_scratch":
            message = f"{name} was called: {values}"
            raise RuntimeError(message)
        return None


class _Disk:
    """Samples how much of the disk a folder takes."""

    def __init__(self, folder: Path) -> None:
        self.peak_bytes = 0
        self._folder = folder
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            taken = 0
            for parent, _, names in os.walk(self._folder):
                for name in names:
                    try:
                        taken += Path(parent, name).stat().st_blocks * _BLOCK_BYTES
                    except FileNotFoundError:
                        continue
            self.peak_bytes = max(self.peak_bytes, taken)
            time.sleep(_POLL_S)


def measured(folder: Path, bucket: _Bucket) -> dict[str, Any]:
    """Return what each kind of unit read of files and of the disk, and the bytes fetched, stored and on the disk."""
    settings.MEDIA_ROOT = folder / "outputs"
    # The outputs are in a folder, the source is in the bucket, and the profile is quickly encoded.
    with (
        patch.object(container_source, "sources_bucket", return_value=bucket),
        patch.object(container_source, "_local_path", return_value=None),
        patch.object(plan_unit, "_profile", return_value=PROFILE),
    ):
        return _measured(folder, bucket)


def _measured(folder: Path, bucket: _Bucket) -> dict[str, Any]:
    scratch = folder / "scratch"
    scratch.mkdir()
    disk, rows = _Disk(scratch), _Rows()
    claim = Claim(
        attempt_id=1,
        job_id=uuid.uuid4(),
        number=1,
        claim_id=uuid.uuid4(),
        vcpus=1,
        source_name="source",
        profile="fast",
    )
    context = ContainerContext(
        claim=claim,
        folder=scratch,
        database=rows,  # type: ignore[arg-type] # answers what units ask
        reservation=_Endless(),  # type: ignore[arg-type] # on an endless disk
        progress=Progress(),
        stop=threading.Event(),
    )

    def run(kind: UnitKind, count: int) -> dict[str, float]:
        before, began_s = _counters(), time.monotonic()
        for index in range(count):
            rows.lease = _lease(kind, index)
            run_unit(context, rows.lease, 0)
        found = {name: value - before[name] for name, value in _counters().items()}
        return {"read_bytes": found["rchar"], "disk_bytes": found["read_bytes"], "s": time.monotonic() - began_s}

    kinds = {"plan": run(UnitKind.PLAN, 1)}
    plan = Plan.from_json(rows.plan)
    kinds["video"] = run(UnitKind.VIDEO, len(plan.video_units))
    kinds["audio"] = run(UnitKind.AUDIO, len(plan.audio_units))
    kinds["publish"] = run(UnitKind.PUBLISH, 1)
    if not rows.published:
        message = "nothing was published"
        raise RuntimeError(message)
    outputs = sum(path.stat().st_size for path in (folder / "outputs").rglob("*.*"))
    return {
        "kinds": kinds,
        "served_bytes": bucket.served_bytes,
        "output_bytes": outputs,
        "peak_bytes": disk.peak_bytes,
    }


def _counters() -> dict[str, int]:
    """Return the counters of proc_pid_io(5): of this process, and of its children that have ended."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def _lease(kind: UnitKind, index: int) -> Lease:
    return Lease(
        unit_id=1,
        kind=kind,
        index=index,
        fence=1,
        lease_id="lease",
        weight_frames=1,
        key_prefix=f"job/{kind}-{index}",
        is_redo=False,
        plan_fence=1,
    )


if __name__ == "__main__":
    json.dump(measured(Path(sys.argv[1]), _Bucket(sys.argv[2], int(sys.argv[3]))), sys.stdout)
