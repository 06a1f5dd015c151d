"""Patches that take protections out of the container program and the media engine."""

from __future__ import annotations

from tests.mutations.patch import Patch

_FAULTS = "tests/integration/faults"
_ENDINGS = "tests/integration/test_path_exit_codes.py"
_OUTPUT = "tests/media/test_output.py"
_SAFETY = "tests/media/test_safety.py"

CONTAINER_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a container has no patience with the database",
        promise=1,
        file="tasks/container/program.py",
        old="_DATABASE_RETRY_S = 3600\n",
        new="_DATABASE_RETRY_S = 0\n",
        tests=(f"{_FAULTS}/test_database_dies.py",),
    ),
    Patch(
        name="objects are not compared before publishing",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old='    if found.hexdigest() != entry["sha256"]:\n',
        new="    if False:\n",
        tests=("tests/media/test_output.py::test_verify_names_the_unit_when_an_object_is_missing_or_short_or_altered",),
    ),
    Patch(
        name="nothing is verified before publishing",
        promise=2,
        file="tasks/container/units/publish.py",
        old="        bad = read_back(context, lease, slot, publication) or decode(context, lease, slot, folder, publication)\n",
        new="        bad = {}\n",
        tests=(
            f"{_FAULTS}/test_verify_repairs.py::test_just_the_damaged_unit_is_done_again_when_an_object_is_bad_before_publishing",
        ),
    ),
    Patch(
        name="gaps between units are published",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old="    bad = _breaks(manifest)\n",
        new="    bad: dict[UnitKey, str] = {}\n",
        tests=(f"{_OUTPUT}::test_verify_names_the_unit_when_the_manifest_leaves_a_gap",),
    ),
    Patch(
        name="key frames off the grid are published",
        promise=2,
        file="tasks/transcode/verify/objects.py",
        old="        _check_key_frames(fragments, gop_ticks)\n",
        new="",
        tests=(f"{_OUTPUT}::test_verify_names_every_unit_when_key_frames_lie_off_the_grid",),
    ),
    Patch(
        name="a hung unit hides behind its neighbours",
        promise=5,
        file="tasks/container/progress.py",
        old="slowest = min(self._slots.values()",
        new="slowest = max(self._slots.values()",
        tests=("tests/unit/test_container_progress.py::test_hung_unit_is_told_of_when_its_neighbours_go_on",),
    ),
    Patch(
        name="one lost heartbeat ends all others",
        promise=5,
        file="tasks/container/heartbeat.py",
        old="        except Error as error:\n",
        new="        except ZeroDivisionError as error:\n",
        tests=(f"{_FAULTS}/test_database_dies.py",),
    ),
    Patch(
        name="a corrupt input is tried again",
        promise=6,
        file="tasks/container/program.py",
        old="                outcome.input_rejected(error.code, error.message)\n",
        new="                outcome.failed(ExitCode.FAILED, Reason.ENCODE_FAILED, error.message)\n",
        tests=("tests/integration/test_path_refused.py::test_job_fails_after_one_attempt_when_the_file_is_corrupt",),
    ),
    Patch(
        name="a container does not hear of its cancel",
        promise=11,
        file="tasks/container/program.py",
        old="            self._outcome.ended(code, answer.value)\n",
        new='            logger.info("%s", code)\n',
        tests=(
            "tests/integration/test_path_stop.py::test_encoder_that_would_never_end_is_gone_within_10_s_when_a_person_cancels",
        ),
    ),
    Patch(
        name="SIGTERM is not answered",
        promise=11,
        file="tasks/container/__main__.py",
        old="    signal.signal(signal.SIGTERM, lambda *_: program.terminate())\n",
        new="",
        tests=(f"{_ENDINGS}::test_encoder_is_gone_and_the_row_says_so_when_the_container_gets_sigterm",),
    ),
    Patch(
        name="a plan is used with another engine",
        promise=12,
        file="tasks/transcode/encode/video.py",
        old="    if plan.engine != engine_id():\n",
        new="    if False:\n",
        tests=(f"{_SAFETY}::test_encode_refuses_a_plan_when_it_was_made_for_another_engine",),
    ),
    Patch(
        name="ffmpeg gets our environment",
        promise=14,
        file="tasks/transcode/sandbox/process.py",
        old='        env={"LC_ALL": "C", "MALLOC_ARENA_MAX": "2", **(environment or {})},\n',
        new='        env={**os.environ, "LC_ALL": "C", **(environment or {})},\n',
        tests=("tests/media/test_safety.py::test_no_credential_reaches_ffmpeg_or_the_probe",),
    ),
    Patch(
        name="anything may be a video",
        promise=14,
        file="tasks/transcode/probe/sniff.py",
        old="    return None\n",
        new='    return "mov"\n',
        tests=("tests/unit/transcode/test_sniff.py",),
    ),
    Patch(
        name="children have no limits",
        promise=14,
        file="tasks/transcode/sandbox/process.py",
        old="json.dumps(limits.as_rlimits())",
        new="json.dumps({})",
        tests=(f"{_SAFETY}::test_child_fails_alone_when_it_wants_more_than_its_limits",),
    ),
    Patch(
        name="a failed slot is forgotten when another found nothing left",
        promise=15,
        file="tasks/container/outcome.py",
        old="            self.exit_code, self.reason, self.code, self.text = exit_code, reason, code, text\n",
        new="            self.reason, self.code, self.text = reason, code, text\n",
        tests=("tests/unit/test_container_outcome.py",),
    ),
    Patch(
        name="an attempt that was lost says that all is well",
        promise=15,
        file="tasks/container/program.py",
        old='    FencedError: ("BATCH_JOB_FENCED", ExitCode.FENCED),\n',
        new='    FencedError: ("BATCH_JOB_FENCED", ExitCode.DONE),\n',
        tests=(f"{_ENDINGS}::test_attempt_that_was_lost_is_fenced_when_its_container_comes_late",),
    ),
    Patch(
        name="a cancelled container says that all is well",
        promise=15,
        file="tasks/container/program.py",
        old='    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.CANCELLED),\n',
        new='    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.DONE),\n',
        tests=(f"{_ENDINGS}::test_container_leaves_when_its_job_was_cancelled_before_it_began",),
    ),
    Patch(
        name="a container superseded in mid-work says that all is well",
        promise=15,
        file="tasks/container/program.py",
        old="                outcome.ended(ExitCode.FENCED, str(error))\n",
        new="                outcome.ended(ExitCode.DONE, str(error))\n",
        tests=(f"{_FAULTS}/test_zombies.py",),
    ),
    Patch(
        name="a container that only reads is taken for hung",
        promise=5,
        file="tasks/container/progress.py",
        old="                count = slowest.count + slowest.read_bytes\n",
        new="                count = slowest.count\n",
        tests=(
            "tests/unit/test_container_progress.py::test_unit_is_not_taken_for_hung_when_it_reads_on_without_a_first_picture",
        ),
    ),
    Patch(
        name="an outage of the storage ends attempts",
        promise=6,
        file="tasks/storage/bucket.py",
        old="        if isinstance(error, _RejectedError) or time.monotonic() - self._since_s + self._pause_s > self._limit_s:\n",
        new="        if error:\n",
        tests=(
            "tests/contract/test_container_files.py::test_source_is_fetched_when_the_bucket_was_away_for_a_while",
            "tests/contract/test_container_files.py::test_file_is_stored_once_when_the_answers_of_a_bucket_are_lost",
        ),
    ),
    Patch(
        name="a long upload uses up the patience with the storage",
        promise=6,
        file="tasks/container/files.py",
        old="            patience.renew()\n",
        new="            pass\n",
        tests=(
            "tests/contract/test_container_files.py::test_storage_is_waited_for_when_it_goes_away_at_the_end_of_a_long_upload",
        ),
    ),
    Patch(
        name="a container waits for the storage longer than it may stand still",
        promise=6,
        file="tasks/container/files.py",
        old="        if _is_stored(key, path.stat().st_size, patience):\n",
        new="        if _is_stored(key, path.stat().st_size, _retry_deadline(stop)):\n",
        tests=(
            "tests/contract/test_container_files.py::test_waiting_for_a_storage_ends_before_the_container_is_replaced_when_each_call_takes_long",
        ),
    ),
    Patch(
        name="a failover of the database ends attempts",
        promise=6,
        file="tasks/container/database.py",
        old="ReadOnlySqlTransaction, TransactionTimeout)\n",
        new="TransactionTimeout)\n",
        tests=(
            "tests/database/services/test_container_database.py::test_call_is_made_again_when_a_failover_leads_to_a_server_that_only_reads",
        ),
    ),
    Patch(
        name="reaping puts our words in the place of AWS's",
        promise=6,
        file="tasks/services/ticks/reap.py",
        old='state__in=["SUCCEEDED", "FAILED"]',
        new='state__in=["SUCCEEDED"]',
        tests=(
            "tests/database/services/test_cancel_delete_reap.py::test_final_status_stays_awss_own_when_a_container_has_said_how_it_ended",
        ),
    ),
    Patch(
        name="memory that ran out is not told",
        promise=6,
        file="tasks/container/program.py",
        old="            case TranscodeError() if oom_kills() > self._oom_kills_before:\n",
        new="            case TranscodeError() if False:\n",
        tests=(
            "tests/database/services/test_container_memory.py::test_cause_is_told_when_the_encoder_was_killed[out of memory]",
        ),
    ),
    Patch(
        name="a COMMIT without an answer takes the file of its row",
        promise=1,
        file="tasks/views/upload.py",
        old="        if not may_be_committed(Video.objects.filter(pk=video.pk)):\n",
        new="        if video:\n",
        tests=(
            "tests/database/web/test_lost_commit.py::test_file_stays_when_the_commit_of_its_row_took_effect_and_was_not_answered",
        ),
    ),
)
