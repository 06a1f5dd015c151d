"""A container without the whole source fetches what its unit reads; if that is not enough, all of it."""

from __future__ import annotations

import dataclasses
import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage

from tasks.container.context import ContainerContext
from tasks.container.progress import Progress
from tasks.container.scratch import source as container_source
from tasks.container.units import encode as encode_units
from tasks.container.units.encode import run_audio, run_video
from tasks.container.units.plan import run_plan
from tasks.lifecycle.states import UnitKind
from tasks.services.container_api.claim import Claim, Lease
from tasks.transcode import PROFILES, Plan, missing, profile_to_json, total_bytes
from tests.buckets import use_new_bucket
from tests.contract.test_container_source import served_bytes
from tests.file_bucket import FileBucket
from tests.growing_job import example_plan
from tests.media.partial_sources import FORMATS, PROFILE, encoded, encoded_audio, make_recording, planned, remuxed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django import Settings


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("recording") / "recording.mp4", seconds=12)


@pytest.fixture
def source(recording: Path, settings: Settings) -> Path:
    """Store the recording in a bucket, the default storage, under the name `source`."""
    use_new_bucket(settings)
    settings.BATCHREEL = {"scratch_reserve_mib": 1, "scratch_floor_mib": 1}
    with recording.open("rb") as file:
        default_storage.save("source", file)
    return recording


PLAN_FENCE = 1


class Container:
    """A container that has claimed an attempt of a planned job; it finishes its units without a database."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.finished: list[Any] = []
        claim = Claim(
            attempt_id=1,
            job_id=uuid.uuid4(),
            number=2,
            claim_id=uuid.uuid4(),
            vcpus=1,
            source_name="source",
            profile="fast",
            profile_fields=profile_to_json(PROFILES["fast"]),
        )
        self.context = ContainerContext(
            claim=claim,
            folder=folder,
            database=self.finished.append,  # type: ignore[arg-type] # finishing a unit is the last call
            reservation=Always(),  # type: ignore[arg-type] # the disk has room
            progress=Progress(),
            stop=threading.Event(),
        )
        self.keep(plan)

    def keep(self, plan: Plan) -> None:
        """Make this the plan that the container has read."""
        self.context._plan = (PLAN_FENCE, plan)

    def plan(self) -> dict[str, Any]:
        """Run the plan unit, and return the plan as it is stored."""
        run_plan(self.context, self._lease(UnitKind.PLAN, 0), 0, self._folder)
        form: dict[str, Any] = self.finished[-1].keywords["plan"]
        return form

    def run(self, kind: UnitKind, index: int, *, is_redo: bool = False) -> dict[str, Any]:
        """Run a media unit, and return the checksums of its files by their names."""
        folder = self._folder / f"{kind}-{index}-{len(self.finished)}"
        folder.mkdir()
        run = run_video if kind is UnitKind.VIDEO else run_audio
        run(self.context, self._lease(kind, index, is_redo=is_redo), 0, folder)
        return {each["name"]: each["sha256"] for each in self.finished[-1].keywords["output"]["media"]["files"]}

    def _lease(self, kind: UnitKind, index: int, *, is_redo: bool = False) -> Lease:
        return Lease(
            unit_id=1,
            kind=kind,
            index=index,
            fence=1,
            lease_id="lease",
            weight_frames=60,
            key_prefix=f"jobs/{uuid.uuid4()}",
            is_redo=is_redo,
            plan_fence=PLAN_FENCE,
        )


class Always:
    """A reservation on an endless disk."""

    held_mib = 0

    def reserve(self, path: Path, ranges: Any, **_: Any) -> None:
        with path.open("ab") as file:
            file.truncate(max(path.stat().st_size, *(end for _, end in ranges)))


def expected(source: Path, plan: Plan, index: int, folder: Path) -> dict[str, str]:
    return {file.name: file.sha256 for file in encoded(source, plan, index, folder).files}


def test_container_fetches_only_what_its_unit_reads_when_it_did_not_make_the_plan(source: Path, tmp_path: Path) -> None:
    plan = planned(source)
    assert plan.reads is not None
    before = served_bytes()
    container = Container(plan, tmp_path / "container")
    index = len(plan.video_units) // 2
    assert container.run(UnitKind.VIDEO, index) == expected(source, plan, index, tmp_path / "whole")
    assert served_bytes() - before == total_bytes(plan.reads.of_video(index) or ()) < source.stat().st_size
    # The audio is everywhere in this file, and of what is there nothing is fetched again.
    container.run(UnitKind.AUDIO, 0)
    assert served_bytes() - before == source.stat().st_size


def test_container_fetches_only_the_beginning_when_it_does_the_first_audio_unit(source: Path, tmp_path: Path) -> None:
    plan = planned(source, profile=dataclasses.replace(PROFILE, audio_head_s=1))
    assert plan.reads is not None
    assert len(plan.audio_units) == 2
    before = served_bytes()
    container = Container(plan, tmp_path / "container")
    made = container.run(UnitKind.AUDIO, 0)
    fetched = served_bytes() - before
    assert fetched == total_bytes(plan.reads.of_audio(0) or ()) < source.stat().st_size / 1.5
    whole = encoded_audio(source, plan, 0, tmp_path / "whole")
    assert made == {file.name: file.sha256 for file in whole.files}


def test_container_reads_the_plan_again_when_another_container_has_replaced_it(tmp_path: Path) -> None:
    first, second = example_plan(), dataclasses.replace(example_plan(), preset="another")
    container = Container(first, tmp_path / "container")
    stored = second.to_json()
    container.context.database = lambda _: stored  # type: ignore[assignment,return-value] # reading the plan is the only call
    lease = container._lease(UnitKind.VIDEO, 0)
    assert container.context.plan(lease) == first
    assert container.context.plan(dataclasses.replace(lease, plan_fence=PLAN_FENCE + 1)) == second


def test_source_is_fetched_once_when_the_container_makes_the_plan(source: Path, tmp_path: Path) -> None:
    before = served_bytes()
    container = Container(planned(source), tmp_path / "container")
    made = container.plan()
    assert made["reads"]["whole"] == "SMALL"
    container.keep(Plan.from_json(made))
    container.run(UnitKind.AUDIO, 0)
    assert served_bytes() - before == source.stat().st_size


def test_unit_is_done_from_the_whole_source_when_it_read_a_hole(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = planned(source)
    assert plan.reads is not None
    index = len(plan.video_units) // 2
    first, end = plan.reads.units[index][0]
    middle = (first + end) // 2
    units = list(plan.reads.units)
    # Not joined again to one range, which would fill the hole.
    units[index] = missing(units[index], ((middle, middle + 600 * 1024),))
    holed = dataclasses.replace(plan, reads=dataclasses.replace(plan.reads, units=tuple(units)))
    before = served_bytes()
    with caplog.at_level(logging.WARNING):
        files = Container(holed, tmp_path / "container").run(UnitKind.VIDEO, index)
    assert files == expected(source, plan, index, tmp_path / "whole")
    assert [record.__dict__["code"] for record in caplog.records if record.message == "SOURCE_HOLE"] == ["HOLE_READ"]
    assert served_bytes() - before == source.stat().st_size


@pytest.mark.few(1)
@pytest.mark.parametrize("why", ["the kernel cannot guard reads", "the unit is done again", "the plan has no ranges"])
def test_container_fetches_the_whole_source_when_a_part_may_not_be_enough(
    why: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(source)
    if why == "the kernel cannot guard reads":
        monkeypatch.setattr(encode_units, "can_guard_reads", lambda: False)
    if why == "the plan has no ranges":
        plan = dataclasses.replace(plan, reads=None)
    before = served_bytes()
    files = Container(plan, tmp_path / "container").run(UnitKind.VIDEO, 1, is_redo=why == "the unit is done again")
    assert files == expected(source, plan, 1, tmp_path / "whole")
    assert served_bytes() - before == source.stat().st_size


LARGE_BYTES = 2_000_000_000
CONTAINERS = 4
FACTOR, ALLOWANCE_BYTES = 1.3, 32 * 1024 * 1024


@pytest.fixture
def serve(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], FileBucket]:
    """Return a function that makes a file the source in the storage."""
    use_new_bucket(settings)

    def as_source(path: Path) -> FileBucket:
        bucket = FileBucket(path)
        monkeypatch.setattr(container_source, "sources_bucket", lambda: bucket)
        monkeypatch.setattr(container_source, "_local_path", lambda *_: None)
        return bucket

    return as_source


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("minute") / "minute.mp4"
    return make_recording(path, seconds=60, rate_bps=4_500_000)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_helper_fetches_little_more_than_its_share_when_the_source_is_large(
    name: str,
    minute: Path,
    serve: Callable[[Path], FileBucket],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    loops = LARGE_BYTES // minute.stat().st_size
    source = remuxed(minute, tmp_path / name, *FORMATS[name], loops=loops)
    bucket = serve(source)
    profile = dataclasses.replace(PROFILE, gop_s=2.0, segment_s=6.0, unit_segments=10)
    plan = planned(source, most_read=1.5, profile=profile)
    container = Container(plan, tmp_path / "container")
    indexes = range(CONTAINERS // 2, len(plan.video_units), CONTAINERS)
    made = {index: container.run(UnitKind.VIDEO, index) for index in indexes}
    frames = sum(plan.video_units[index].end_frame - plan.video_units[index].first_frame for index in indexes)
    share_bytes = source.stat().st_size * frames / plan.frames
    record_property("fetched", f"{bucket.served_bytes / share_bytes:.2f} of its share of {name}")
    assert bucket.served_bytes <= FACTOR * share_bytes + ALLOWANCE_BYTES
    for index in (indexes[0], indexes[-1]):
        assert made[index] == expected(source, plan, index, tmp_path / f"whole-{index}")
