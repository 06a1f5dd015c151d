"""Mutations of what holds when a machine, its disk or its storage is at fault."""

from __future__ import annotations

from tests.mutations.patch import Patch

_DISKS = "tests/unit/test_machine_disks.py"
_SOURCE = "tests/contract/test_container_source.py"
_SPACE = "tests/contract/test_scratch_space.py"
_ROWS = "tests/database/services/test_scratch.py"
_SUSPECT = "tests/database/services/test_suspect_input.py"
_PIPELINE = "tests/integration/test_pipeline_suspect.py"
_HOLD = "tests/database/services/test_hold.py"
_RULE = "tasks/container/scratch/rule.py"

MACHINE_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a container leaves a machine at fault at once",
        promise=6,
        file="tasks/container/program.py",
        old="            hold_place(reason, text, shutting_down=self._shutting_down)\n",
        new="            pass\n",
        tests=(f"{_PIPELINE}::test_container_keeps_its_place_until_sigterm_when_it_suspects_its_machine",),
    ),
    Patch(
        name="a failing disk is not held",
        promise=6,
        file="tasks/lifecycle/reasons.py",
        old="HELD = frozenset({Reason.DISK_FULL, Reason.DISK_FAILED, ",
        new="HELD = frozenset({",
        tests=(
            "tests/unit/test_container_failures.py::test_attempt_is_not_counted_when_the_machines_disk_is_at_fault",
        ),
    ),
    Patch(
        name="a container that keeps its place is terminated",
        promise=6,
        file="tasks/services/ticks/reap.py",
        old='    return exiting | is_held & Q(state="FAILED", ended_at__gt=Now() - held_for)\n',
        new="    return exiting\n",
        tests=(
            "tests/database/services/test_cancel_delete_reap.py::test_container_keeps_its_place_when_its_machine_may_be_at_fault",
        ),
    ),
    Patch(
        name="a crash of the encoder counts on one machine's word",
        promise=6,
        file="tasks/container/program.py",
        old="            case EncoderCrashedError() if oom_kills() == self._oom_kills_before:\n",
        new="            case EncoderCrashedError() if oom_kills() < 0:\n",
        tests=(f"{_PIPELINE}::test_file_is_published_when_the_encoder_crashed_once",),
        long=True,
    ),
    Patch(
        name="a disk that the encoder cannot write to counts against the job",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="    if any(text in stderr for text in _BROKEN_DISK):\n",
        new="    if False:\n",
        tests=("tests/media/test_encoder_faults.py::test_machine_is_at_fault_when_the_encoder_cannot_write",),
    ),
    Patch(
        name="a killed encoder is taken for a crash",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="    if returncode in CRASHES:\n",
        new="    if returncode < 0:\n",
        tests=("tests/media/test_encoder_faults.py::test_encoder_has_not_crashed_when_it_was_killed",),
    ),
    Patch(
        name="crashes of the encoder never count",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old="Reason.TRANSCODE_FAILED if is_certain else Reason.INPUT_SUSPECT",
        new="Reason.INPUT_SUSPECT",
        tests=(
            f"{_SUSPECT}::test_attempts_are_counted_when_the_same_unit_crashed_on_two_machines",
            f"{_SUSPECT}::test_crashes_of_the_only_machine_count_when_three_containers_agree",
        ),
    ),
    Patch(
        name="crashes in any two units count",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old="        same = same.filter(units_in_progress__contains=[crashed_unit])\n",
        new="        pass\n",
        tests=(f"{_SUSPECT}::test_attempt_is_not_counted_when_another_unit_crashed_on_another_machine",),
    ),
    Patch(
        name="a missing source is final on one machine's word",
        promise=6,
        file="tasks/container/program.py",
        old="                outcome.suspect_input(**rejection(error.code))\n",
        new="                outcome.reject_input(**rejection(error.code))\n",
        tests=(f"{_PIPELINE}::test_job_fails_when_each_container_of_the_only_machine_finds_no_source",),
        long=True,
    ),
    Patch(
        name="a missing storage is taken for a missing source",
        promise=6,
        file="tasks/container/scratch/source.py",
        old="        _require_storage(self._name, deadline)\n",
        new="",
        tests=(
            f"{_SOURCE}::test_settings_are_at_fault_when_the_bucket_does_not_exist",
            f"{_SOURCE}::test_machine_is_at_fault_when_the_folder_of_the_uploads_is_not_mounted",
        ),
    ),
    Patch(
        name="small sources overtake a large one",
        promise=6,
        file=_RULE,
        old="<= self.free_bytes - ahead_bytes\n",
        new="<= self.free_bytes\n",
        tests=(
            f"{_DISKS}::test_large_source_gets_its_turn_when_small_ones_keep_coming",
            f"{_SPACE}::test_container_waits_when_an_earlier_one_waits_for_the_room",
        ),
    ),
    Patch(
        name="all wait behind a source that can never fit",
        promise=6,
        file=_RULE,
        old="for each in self.ahead_bytes if self.can_fit(each))",
        new="for each in self.ahead_bytes)",
        tests=(f"{_DISKS}::test_small_source_gets_its_room_when_one_ahead_can_never_fit",),
    ),
    Patch(
        name="a source waits for room that nobody will release",
        promise=6,
        file=_RULE,
        old=" or (hopeless_s is not None and hopeless_s >= hold_s):\n",
        new=":\n",
        tests=(
            f"{_DISKS}::test_machines_are_not_held_up_when_a_source_can_never_fit",
            f"{_SPACE}::test_container_leaves_with_the_figures_when_nobody_will_release_room",
        ),
    ),
    Patch(
        name="a source waits for a disk that is too small",
        promise=6,
        file=_RULE,
        old="    if wanted_bytes + disk.own_bytes + disk.floor_bytes > disk.total_bytes:\n",
        new="    if False:\n",
        tests=(
            f"{_DISKS}::test_machines_are_not_held_up_when_a_source_can_never_fit",
            f"{_SPACE}::test_container_leaves_at_once_when_the_whole_disk_is_too_small",
        ),
    ),
    Patch(
        name="a source waits for more than the disk has next to its first part",
        promise=6,
        file=_RULE,
        old="    if wanted_bytes + disk.own_bytes + disk.floor_bytes > disk.total_bytes:\n",
        new="    if wanted_bytes + disk.floor_bytes > disk.total_bytes:\n",
        tests=(f"{_DISKS}::test_container_leaves_at_once_when_what_it_holds_and_wants_is_more_than_the_disk",),
    ),
    Patch(
        name="others count on what a waiting container holds",
        promise=6,
        file="tasks/services/container_api/scratch.py",
        old="if stage not in WAITING_STAGES and pk != claim.attempt_id]",
        new="if pk != claim.attempt_id]",
        tests=(
            f"{_ROWS}::test_others_wait_behind_what_is_still_missing_when_the_earlier_one_has_a_part_of_its_source",
        ),
    ),
    Patch(
        name="containers wait behind one that died",
        promise=6,
        file="tasks/services/container_api/scratch.py",
        old="machine_id=claim.machine_id, heartbeat_at__gt=recently)",
        new="machine_id=claim.machine_id)",
        tests=(f"{_ROWS}::test_nobody_is_ahead_when_the_earlier_one_died_or_is_elsewhere",),
    ),
    Patch(
        name="containers wait behind later ones",
        promise=6,
        file="tasks/services/container_api/scratch.py",
        old="older = rows[: places.index(claim.attempt_id)] if claim.attempt_id in places else rows\n",
        new="older = rows[places.index(claim.attempt_id) + 1 :]\n",
        tests=(f"{_ROWS}::test_small_source_sees_the_large_one_ahead_when_that_came_earlier",),
    ),
    Patch(
        name="containers wait behind one that has its room",
        promise=6,
        file="tasks/services/container_api/scratch.py",
        old='update(stage="fetch", scratch_mib=scratch_mib)\n',
        new="update(scratch_mib=scratch_mib)\n",
        tests=(f"{_ROWS}::test_nobody_is_ahead_when_the_earlier_one_has_its_room",),
    ),
    Patch(
        name="a disk without room for a folder counts against the job",
        promise=6,
        file="tasks/container/program.py",
        old='prefix="batchreel-", dir=os.environ.get("TMPDIR"), ignore_cleanup_errors=True',
        new='prefix="batchreel-", ignore_cleanup_errors=True',
        tests=(
            "tests/integration/test_pipeline_suspect.py::test_attempt_is_not_counted_when_no_folder_for_the_work_can_be_made",
        ),
    ),
    Patch(
        name="an encoder that crashes at its version is missing",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="        if end.returncode in CRASHES:\n            raise",
        new="        if False:\n            raise",
        tests=(
            "tests/media/test_encoder_faults.py::test_encoder_is_only_suspected_when_it_crashes_before_it_prints_its_version",
        ),
    ),
    Patch(
        name="a crash of the decoder condemns good units",
        promise=6,
        file="tasks/transcode/verify/decode.py",
        old=', "ENCODER_CRASHED", "ENCODER_KILLED"})',
        new="})",
        tests=("tests/media/test_decode_check.py::test_unit_is_not_at_fault_when_the_decoder_crashes",),
    ),
    Patch(
        name="a machine that hangs is taken for a break",
        promise=5,
        file="tasks/services/ticks/hold.py",
        old="    if _is_one_machine(silent) or not is_break(\n",
        new="    if not is_break(\n",
        tests=(f"{_HOLD}::test_silent_containers_are_replaced_when_one_machine_hangs_with_all_of_its_own",),
    ),
    Patch(
        name="a container that has not started hides a machine that hangs",
        promise=5,
        file="tasks/services/ticks/hold.py",
        old=" for attempt in silent if attempt.state == AttemptState.RUNNING}\n",
        new=" for attempt in silent}\n",
        tests=(
            f"{_HOLD}::test_silent_containers_are_replaced_when_a_machine_hangs_while_another_container_cannot_start",
        ),
    ),
    Patch(
        name="a break on the only machine is taken for a machine that hangs",
        promise=5,
        file="tasks/services/ticks/hold.py",
        old="    return others.filter(state=AttemptState.RUNNING, heartbeat_at__gt=lately).exists()\n",
        new="    return True\n",
        tests=(f"{_HOLD}::test_containers_are_held_when_the_only_machine_is_cut_off",),
    ),
    Patch(
        name="the way to a distant key frame costs nothing",
        promise=14,
        file="tasks/transcode/plan/cost.py",
        old="    return plan.video_cost_s + _skipped_s(plan) + ",
        new="    return plan.video_cost_s + ",
        tests=("tests/unit/transcode/test_cost.py",),
    ),
    Patch(
        name="the way to a distant key frame has no CPU time",
        promise=6,
        file="tasks/transcode/encode/video.py",
        old="        skipped_s=float(skipped / plan.rate),\n",
        new="",
        tests=("tests/unit/transcode/test_cost.py",),
    ),
    Patch(
        name="what a disk does not give is replaced by silence",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="if _READ_ERROR in end.stderr and",
        new="if False and",
        tests=("tests/media/test_encoder_faults.py::test_disk_is_at_fault_when_the_source_cannot_be_read",),
    ),
    Patch(
        name="what a disk did not give once is replaced by silence",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="        end = run()\n        cpu_s",
        new="        cpu_s",
        tests=("tests/media/test_encoder_faults.py::test_encoder_runs_again_when_a_disk_failed_to_give_a_block_once",),
    ),
    Patch(
        name="an encoder that runs again adds its frames to the first ones",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="        on_restart()\n",
        new="",
        tests=("tests/media/test_encoder_faults.py::test_encoder_runs_again_when_a_disk_failed_to_give_a_block_once",),
    ),
    Patch(
        name="each unit of a damaged source reads all of it again",
        promise=6,
        file="tasks/transcode/sandbox/ffmpeg.py",
        old="            _damaged.update(files)\n",
        new="            pass\n",
        tests=(
            "tests/media/test_encoder_faults.py::test_damaged_source_is_read_again_once_when_its_units_report_errors",
        ),
    ),
)
