"""Mutations of the container program and the media engine."""

from __future__ import annotations

from tests.mutations.patch import Patch

_FAULTS = "tests/integration/faults"
_ENDINGS = "tests/integration/test_pipeline_exit_codes.py"
_OUTPUT = "tests/media/test_output.py"
_SAFETY = "tests/media/test_safety.py"

CONTAINER_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="containers do not retry database errors",
        promise=1,
        file="tasks/container/program.py",
        old="            retry_s=bridge_settings().database_retry_s,\n",
        new="            retry_s=0.0,\n",
        tests=(f"{_FAULTS}/test_database_dies.py",),
    ),
    Patch(
        name="checksums are not compared before publishing",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old='    if found.hexdigest() != entry["sha256"]:\n',
        new="    if False:\n",
        tests=("tests/media/test_output.py::test_verification_names_the_unit_when_an_object_is_damaged",),
    ),
    Patch(
        name="an object that is bad is not reported when several are read at a time",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old='                bad.setdefault(entry["unit"], reason)\n',
        new="                pass\n",
        tests=(f"{_OUTPUT}::test_verification_names_the_unit_when_an_object_is_damaged",),
    ),
    Patch(
        name="nothing is verified before publishing",
        promise=2,
        file="tasks/container/units/publish.py",
        old=(
            "        bad = verify_objects(context, lease, slot, publication)\n"
            "        if not bad:\n"
            "            bad = verify_decoding(context, lease, slot, folder, publication)\n"
        ),
        new="        bad = {}\n",
        tests=(
            f"{_FAULTS}/test_verify_repairs.py::test_damaged_unit_alone_is_redone_when_an_object_fails_verification",
        ),
    ),
    Patch(
        name="gaps between units are not detected",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old="    bad = _breaks(manifest)\n",
        new="    bad: dict[UnitKey, str] = {}\n",
        tests=(f"{_OUTPUT}::test_verification_names_the_unit_when_the_manifest_has_a_gap",),
    ),
    Patch(
        name="key frames off the grid are not detected",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old="        _check_key_frames(fragments, gop_ticks)\n",
        new="",
        tests=(f"{_OUTPUT}::test_verification_names_every_unit_when_key_frames_are_off_the_grid",),
    ),
    Patch(
        name="heartbeats report the slot with the latest progress",
        promise=5,
        file="tasks/container/progress.py",
        old="slowest = min(self._slots.values()",
        new="slowest = max(self._slots.values()",
        tests=("tests/unit/test_container_progress.py::test_hung_unit_is_reported_when_other_slots_continue",),
    ),
    Patch(
        name="a failed heartbeat ends the heartbeat thread",
        promise=5,
        file="tasks/container/heartbeat.py",
        old="        except Error as error:\n",
        new="        except ZeroDivisionError as error:\n",
        tests=(f"{_FAULTS}/test_database_dies.py",),
    ),
    Patch(
        name="a corrupt input is retried",
        promise=6,
        file="tasks/container/program.py",
        old="                outcome.reject_input(error.code, error.message)\n",
        new="                outcome.fail(ExitCode.FAILED, Reason.TRANSCODE_FAILED, error.message)\n",
        tests=(
            "tests/integration/test_pipeline_refused.py::test_job_fails_after_one_attempt_when_the_file_is_corrupt",
        ),
    ),
    Patch(
        name="a cancelled container continues",
        promise=11,
        file="tasks/container/program.py",
        old="            self._outcome.end(code, reply.value)\n",
        new='            logger.info("%s", code)\n',
        tests=(
            "tests/integration/test_pipeline_stop.py::test_hanging_encoder_is_killed_within_10_s_when_the_job_is_cancelled",
        ),
    ),
    Patch(
        name="SIGTERM is not handled while a container starts",
        promise=11,
        file="tasks/container/__main__.py",
        old="    _end_on_signals()\n",
        new="",
        tests=(
            "tests/integration/test_pipeline_stop.py::test_container_ends_with_its_exit_code_when_it_is_stopped_before_it_has_started",
        ),
    ),
    Patch(
        name="SIGTERM is not handled",
        promise=11,
        file="tasks/container/__main__.py",
        old="    signal.signal(signal.SIGTERM, lambda *_: program.terminate())\n",
        new="",
        tests=(f"{_ENDINGS}::test_encoder_ends_and_attempt_fails_when_the_container_gets_sigterm",),
    ),
    Patch(
        name="a plan is used with another engine",
        promise=12,
        file="tasks/transcode/encode/video.py",
        old="    if plan.engine != engine_id():\n",
        new="    if False:\n",
        tests=(f"{_SAFETY}::test_encode_rejects_a_plan_when_it_was_made_for_another_engine",),
    ),
    Patch(
        name="containers reach the credentials of their machine",
        promise=14,
        file="scripts/infra/machine_user_data.tftpl",
        old="reject iptables 169.254.169.254\n",
        new="",
        tests=("tests/infra/test_machine_user_data.py::test_metadata_is_rejected_once_when_a_machine_boots_again",),
    ),
    Patch(
        name="the containers' role can create tables",
        promise=14,
        file="tasks/management/commands/container_role.py",
        old="                    for statement in schema_statements(owner):\n                        cursor.execute(statement)\n",
        new="                    pass\n",
        tests=(
            "tests/integration/test_container_role.py::test_container_role_cannot_create_tables_when_every_role_could",
        ),
    ),
    Patch(
        name="ffmpeg inherits the environment",
        promise=14,
        file="tasks/transcode/sandbox/process.py",
        old='        env={"LC_ALL": "C", "MALLOC_ARENA_MAX": "2", **environment},\n',
        new='        env={**os.environ, "LC_ALL": "C", **environment},\n',
        tests=("tests/media/test_safety.py::test_ffmpeg_and_probe_get_no_credentials_when_started",),
    ),
    Patch(
        name="any file is accepted as a video",
        promise=14,
        file="tasks/transcode/probe/sniff.py",
        old='    return "mpeg" if any(_is_pack_header(head, start) for start in starts) else None\n',
        new='    return "mpeg"\n',
        tests=("tests/unit/transcode/test_sniff.py",),
    ),
    Patch(
        name="child processes have no limits",
        promise=14,
        file="tasks/transcode/sandbox/process.py",
        old='        "limits": limits.as_rlimits(),\n',
        new='        "limits": {},\n',
        tests=(f"{_SAFETY}::test_child_fails_alone_when_it_exceeds_its_limits",),
    ),
    Patch(
        name="a failed slot does not set the exit code",
        promise=15,
        file="tasks/container/outcome.py",
        old="            self.exit_code, self.reason, self.code, self.text = exit_code, reason, code, text\n",
        new="            self.reason, self.code, self.text = reason, code, text\n",
        tests=("tests/unit/test_container_outcome.py",),
    ),
    Patch(
        name="a lost attempt exits with code 0",
        promise=15,
        file="tasks/container/program.py",
        old='    FencedError: ("BATCH_JOB_FENCED", ExitCode.FENCED),\n',
        new='    FencedError: ("BATCH_JOB_FENCED", ExitCode.DONE),\n',
        tests=(f"{_ENDINGS}::test_lost_attempt_is_fenced_when_its_container_starts_late",),
    ),
    Patch(
        name="a cancelled container exits with code 0",
        promise=15,
        file="tasks/container/program.py",
        old='    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.CANCELLED),\n',
        new='    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.DONE),\n',
        tests=(f"{_ENDINGS}::test_container_exits_when_its_job_was_cancelled_before_it_started",),
    ),
    Patch(
        name="a container superseded while it works exits with code 0",
        promise=15,
        file="tasks/container/program.py",
        old="                outcome.end(ExitCode.FENCED, str(error))\n",
        new="                outcome.end(ExitCode.DONE, str(error))\n",
        tests=(f"{_FAULTS}/test_zombies.py",),
    ),
    Patch(
        name="reading does not count as progress",
        promise=5,
        file="tasks/container/progress.py",
        old="                count = slowest.count + slowest.read_bytes\n",
        new="                count = slowest.count\n",
        tests=("tests/unit/test_container_progress.py::test_reading_counts_as_progress_when_there_is_no_first_frame",),
    ),
    Patch(
        name="storage outages are not retried",
        promise=6,
        file="tasks/storage/bucket.py",
        old="        if isinstance(error, _RejectedError) or time.monotonic() - self._since_s + self._pause_s > self._limit_s:\n",
        new="        if error:\n",
        tests=(
            "tests/contract/test_container_source.py::test_source_is_fetched_when_the_bucket_was_unavailable_for_a_while",
            "tests/contract/test_container_files.py::test_file_is_stored_once_when_the_buckets_responses_are_lost",
        ),
    ),
    Patch(
        name="accepted bytes do not renew the retry deadline",
        promise=6,
        file="tasks/container/files.py",
        old="            deadline.renew()\n",
        new="            pass\n",
        tests=("tests/contract/test_container_files.py::test_upload_is_retried_when_the_storage_fails_at_its_end",),
    ),
    Patch(
        name="checking a stored file has a retry deadline of its own",
        promise=6,
        file="tasks/container/files.py",
        old="        if _is_stored(key, path.stat().st_size, deadline):\n",
        new="        if _is_stored(key, path.stat().st_size, retry_deadline(stop)):\n",
        tests=(
            "tests/contract/test_container_files.py::test_storage_retry_ends_before_the_stage_limit_when_calls_are_slow",
        ),
    ),
    Patch(
        name="database failovers are not retried",
        promise=6,
        file="tasks/container/database.py",
        old="ReadOnlySqlTransaction, TransactionTimeout)\n",
        new="TransactionTimeout)\n",
        tests=(
            "tests/database/services/test_container_database.py::test_database_call_is_retried_when_a_failover_leads_to_a_standby",
        ),
    ),
    Patch(
        name="a failed container is terminated before it can exit",
        promise=6,
        file="tasks/services/ticks/reap.py",
        old='state__in=["SUCCEEDED", "FAILED"]',
        new='state__in=["SUCCEEDED"]',
        tests=(
            "tests/database/services/test_cancel_delete_reap.py::test_container_is_not_terminated_when_it_exits_after_its_failure",
        ),
    ),
    Patch(
        name="out-of-memory kills are not reported",
        promise=6,
        file="tasks/container/failures.py",
        old="Reason.OUT_OF_MEMORY if was_out_of_memory else Reason.TRANSCODE_FAILED",
        new="Reason.TRANSCODE_FAILED",
        tests=(
            "tests/database/services/test_container_memory.py::test_cause_is_reported_when_the_encoder_was_killed[out of memory]",
        ),
    ),
    Patch(
        name="an unacknowledged COMMIT deletes the uploaded file",
        promise=1,
        file="tasks/views/upload.py",
        old="        if not may_be_committed(Video.objects.filter(pk=video.pk)):\n",
        new="        if video:\n",
        tests=("tests/database/web/test_lost_commit.py::test_file_is_kept_when_the_response_to_a_commit_was_lost",),
    ),
    Patch(
        name="a container leaves a full machine at once",
        promise=6,
        file="tasks/container/scratch/rule.py",
        old="    if waited_s >= wait_limit_s or (hopeless_s is not None and hopeless_s >= hold_s):\n",
        new="    if wanted_bytes:\n",
        tests=("tests/unit/test_machine_disks.py::test_no_job_is_dead_when_disks_hold_fewer_sources_than_containers",),
    ),
    Patch(
        name="free disk space is checked but not reserved",
        promise=6,
        file="tasks/container/scratch/reservation.py",
        old="            if step is Step.RESERVE and self._allocate(target, ranges):\n",
        new="            target.touch()\n            if step is Step.RESERVE:\n",
        tests=(
            "tests/contract/test_scratch_space.py::test_containers_share_a_disk_without_filling_it_when_they_start_together",
        ),
    ),
    Patch(
        name="the ballast stays when units write files",
        promise=6,
        file="tasks/container/scratch/reservation.py",
        old="self._wanted_bytes - AHEAD_BYTES - self._unit_bytes()",
        new="self._wanted_bytes - AHEAD_BYTES",
        tests=("tests/contract/test_scratch_space.py::test_ballast_shrinks_and_grows_when_files_of_units_come_and_go",),
    ),
    Patch(
        name="a full disk counts against the job",
        promise=6,
        file="tasks/container/failures.py",
        old="    errno.ENOSPC: Reason.DISK_FULL,\n",
        new="",
        tests=(
            "tests/unit/test_container_failures.py::test_attempt_is_not_counted_when_the_machines_disk_is_at_fault",
        ),
    ),
    Patch(
        name="an attempt that finished units counts",
        promise=6,
        file="tasks/services/state/attempt_end.py",
        old='    if values["counted"] is not False and attempt.units_done:\n',
        new="    if False:\n",
        tests=("tests/database/services/test_attempt_work.py::test_attempt_is_not_counted_when_it_finished_a_unit",),
    ),
    Patch(
        name="the time limit ignores the work that is left",
        promise=6,
        file="tasks/services/ticks/grant.py",
        old="        timeout_s=timeout_s(job),\n",
        new="        timeout_s=conf.attempt_timeout_s,\n",
        tests=(
            "tests/database/services/test_attempt_work.py::test_time_limit_follows_the_work_that_is_left_when_there_is_a_plan",
        ),
    ),
    Patch(
        name="a source of any cost is accepted",
        promise=14,
        file="tasks/transcode/plan/cost.py",
        old="    if cost_h > limit_cpu_h:\n",
        new="    if False:\n",
        tests=(
            "tests/unit/transcode/test_cost.py::test_source_is_rejected_with_the_way_out_when_encoding_would_take_too_long",
        ),
    ),
    Patch(
        name="the time limit ignores what a container may wait for",
        promise=5,
        file="tasks/services/state/resources.py",
        old="    waits_s = conf.scratch_wait_s + conf.database_retry_s\n",
        new="    waits_s = 0\n",
        tests=(
            "tests/database/services/test_attempt_work.py::test_time_limit_follows_the_work_that_is_left_when_there_is_a_plan",
        ),
    ),
)
