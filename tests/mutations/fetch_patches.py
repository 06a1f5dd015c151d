"""Mutations of fetching a part of the source, and of noticing that it was not enough."""

from __future__ import annotations

from tests.mutations.patch import Patch

_PARTIAL = "tests/media/test_partial_source.py"
_CONTAINER = "tests/contract/test_container_partial_source.py"
_SOURCE = "tests/contract/test_container_source.py"
_SLOTS = "tests/contract/test_container_slots.py"

FETCH_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="holes of a source are read as zeros",
        promise=12,
        file="tasks/transcode/sandbox/read_guard.py",
        old="        return None if first >= end or self._is_present(first, end) else (first, end)\n",
        new="        return None\n",
        tests=(f"{_PARTIAL}::test_planted_hole_is_noticed_when_a_unit_reads_it",),
    ),
    Patch(
        name="a source with holes can be mapped into memory",
        promise=12,
        file="tasks/transcode/sandbox/seccomp.py",
        old="        instruction(_IF_EQUAL, _NO_FILE, 0, 1),\n        instruction(_RETURN, _ALLOW),\n",
        new="        instruction(_RETURN, _ALLOW),\n        instruction(_RETURN, _ALLOW),\n",
        tests=("tests/media/test_read_guard.py::test_child_is_stopped_when_it_reads_a_hole",),
    ),
    Patch(
        name="a unit whose reads nobody watched is kept",
        promise=12,
        file="tasks/transcode/sandbox/read_guard.py",
        old="        if (error := self._hole or self._unwatched) is not None:\n",
        new="        if (error := self._hole) is not None:\n",
        tests=("tests/media/test_read_guard.py::test_child_is_not_started_when_the_guard_does_not_listen",),
    ),
    Patch(
        name="a unit is kept although no read of the source was recognized",
        promise=12,
        file="tasks/transcode/sandbox/read_guard.py",
        old="        if not self._is_read:\n",
        new="        if False:\n",
        tests=("tests/media/test_read_guard.py::test_reads_are_unwatched_when_the_file_is_not_recognized",),
    ),
    Patch(
        name="a child may read by asynchronous I/O, which is not watched",
        promise=12,
        file="tasks/transcode/sandbox/seccomp.py",
        old='    "io_setup": (206, 0),\n',
        new="",
        tests=("tests/media/test_walls.py::test_child_opens_no_socket_when_it_calls_the_kernel_by_another_entry",),
    ),
    Patch(
        name="a slot waits until another one has the whole source",
        promise=12,
        file="tasks/container/scratch/source.py",
        old="                    step = merged(parts[: conf.fetch_connections * _PARTS_OF_STEP])\n",
        new="                    step = merged(parts)\n",
        tests=(f"{_SLOTS}::test_small_unit_proceeds_when_another_slot_fetches_the_whole_source",),
    ),
    Patch(
        name="slots fetch the same bytes",
        promise=12,
        file="tasks/container/scratch/source.py",
        old="                if free := missing(lacking, self._taken):\n",
        new="                if free := lacking:\n",
        tests=(f"{_SLOTS}::test_small_unit_proceeds_when_another_slot_fetches_the_whole_source",),
    ),
    Patch(
        name="room that another slot has allocated is released",
        promise=6,
        file="tasks/container/scratch/reservation.py",
        old="            ranges = missing(ranges, self._allocated)\n",
        new="",
        tests=("tests/contract/test_scratch_space.py::test_room_is_released_when_more_of_the_source_does_not_fit",),
    ),
    Patch(
        name="a container keeps a plan that another one has replaced",
        promise=2,
        file="tasks/container/context.py",
        old="            if self._plan is None or self._plan[0] != lease.plan_fence:\n",
        new="            if self._plan is None:\n",
        tests=(f"{_CONTAINER}::test_container_reads_the_plan_again_when_another_container_has_replaced_it",),
    ),
    Patch(
        name="a unit that read a hole fails its attempt",
        promise=12,
        file="tasks/container/units/encode.py",
        old="        if error.code not in (HOLE_READ, READS_UNWATCHED):\n",
        new="        if True:\n",
        tests=(f"{_CONTAINER}::test_unit_is_done_from_the_whole_source_when_it_read_a_hole",),
    ),
    Patch(
        name="a unit is redone from a part of the source",
        promise=12,
        file="tasks/container/units/encode.py",
        old="    reads = None if plan.reads is None or lease.is_redo else plan.reads.of_video(lease.index)\n",
        new="    reads = None if plan.reads is None else plan.reads.of_video(lease.index)\n",
        tests=(f"{_CONTAINER}::test_container_fetches_the_whole_source_when_a_part_may_not_be_enough",),
    ),
    Patch(
        name="parts of a source are used without a guard",
        promise=12,
        file="tasks/container/units/encode.py",
        old="    source = context.source(slot, reads if can_guard_reads() else None, size_bytes=size_bytes)\n",
        new="    source = context.source(slot, reads, size_bytes=size_bytes)\n",
        tests=(f"{_CONTAINER}::test_container_fetches_the_whole_source_when_a_part_may_not_be_enough",),
    ),
    Patch(
        name="what a seek reads is not fetched",
        promise=12,
        file="tasks/transcode/plan/source_reads.py",
        old="        found = (*stretches.ranges(first, unit), *(() if seek is None else seek.ranges))\n",
        new="        found = tuple(stretches.ranges(first, unit))\n",
        tests=(f"{_PARTIAL}::test_unit_has_the_same_bytes_when_only_a_part_of_the_source_is_present",),
    ),
    Patch(
        name="what is read ahead of the first audio unit is not fetched",
        promise=12,
        file="tasks/transcode/plan/source_reads.py",
        old="unit.end_frame / plan.rate + _AUDIO_READ_AHEAD_S\n",
        new="unit.end_frame / plan.rate - 2\n",
        tests=(
            f"{_PARTIAL}::test_first_audio_unit_has_the_same_bytes_when_only_the_beginning_of_the_source_is_present",
        ),
    ),
    Patch(
        name="each audio unit fetches all audio",
        promise=12,
        file="tasks/transcode/plan/source_reads.py",
        old="    if unit.end_frame < plan.frames:\n",
        new="    if False:\n",
        tests=(f"{_CONTAINER}::test_container_fetches_only_the_beginning_when_it_does_the_first_audio_unit",),
    ),
    Patch(
        name="parts of two objects become one source",
        promise=12,
        file="tasks/container/scratch/source.py",
        old="            etag=self._stored.etag,\n",
        new="",
        tests=(f"{_SOURCE}::test_download_fails_when_the_object_is_another_one_than_before",),
    ),
    Patch(
        name="another part than asked for is taken",
        promise=12,
        file="tasks/storage/bucket.py",
        old='                        if part and not str(response.get("ContentRange", "")).startswith(f"bytes {at}-"):\n',
        new="                        if False:\n",
        tests=(f"{_SOURCE}::test_download_fails_when_the_storage_returns_another_part_than_asked_for",),
    ),
    Patch(
        name="a part of a source reserves room for all of it",
        promise=6,
        file="tasks/container/scratch/source.py",
        old="            reserve(self._path, lacking)\n",
        new="            reserve(self._path, everything)\n",
        tests=(f"{_SOURCE}::test_only_wanted_bytes_are_fetched_when_units_read_a_part",),
    ),
)
