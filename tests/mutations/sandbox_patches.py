"""Mutations of the walls around decoders, and of the rules by which a slow or broken machine is not a damaged file."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SANDBOX = "tasks/transcode/sandbox"
_WALLS = "tests/media/test_walls.py"
_PROGRESS = "tests/media/test_progress_limits.py"
_SUSPECT = "tests/database/services/test_suspect_input.py"

SANDBOX_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="decoders can read the environment of their container",
        promise=14,
        file=f"{_SANDBOX}/privacy.py",
        old="prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)",
        new="prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)",
        tests=(
            f"{_WALLS}::test_child_has_neither_network_nor_credentials_when_the_kernel_has_no_landlock",
            "tests/integration/test_walls_in_container.py::test_container_hides_its_environment_when_the_kernel_has_no_landlock",
        ),
    ),
    Patch(
        name="the container does not hide its environment",
        promise=14,
        file="tasks/container/__main__.py",
        old="    hide_process()\n",
        new="",
        tests=(
            "tests/integration/test_walls_in_container.py::test_container_hides_its_environment_when_the_kernel_has_no_landlock",
        ),
    ),
    Patch(
        name="decoders can open sockets",
        promise=14,
        file=f"{_SANDBOX}/launcher.py",
        old="        seccomp.install_filter(libc)\n",
        new="        pass\n",
        tests=(f"{_WALLS}::test_child_gets_nothing_of_its_container_when_user_namespaces_are_denied",),
    ),
    Patch(
        name="the x32 entries to the kernel are open",
        promise=14,
        file=f"{_SANDBOX}/seccomp.py",
        old="    checks = [(_IF_AT_LEAST, _FIRST_X32), *(",
        new="    checks = [*(",
        tests=(f"{_WALLS}::test_child_opens_no_socket_when_it_calls_the_kernel_by_another_entry",),
    ),
    Patch(
        name="the 32-bit entry to the kernel is open",
        promise=14,
        file=f"{_SANDBOX}/seccomp.py",
        old="0, 1 + len(checks) + to_eperm),\n",
        new="0, 1 + len(checks) + to_eperm - 2),\n",
        tests=(f"{_WALLS}::test_child_opens_no_socket_when_it_calls_the_kernel_by_another_entry",),
    ),
    Patch(
        name="decoders can use every file",
        promise=14,
        file=f"{_SANDBOX}/launcher.py",
        old='        landlock.restrict(libc, confinement["paths"])\n',
        new="        pass\n",
        tests=(f"{_WALLS}::test_child_sees_only_its_own_files_when_it_looks_around",),
    ),
    Patch(
        name="Landlock does not restrict TCP",
        promise=14,
        file=f"{_SANDBOX}/landlock.py",
        old="_TCP if version >= 4 else 0",
        new="0",
        tests=(f"{_WALLS}::test_child_reaches_no_server_when_the_runtime_denies_seccomp_filters",),
    ),
    Patch(
        name="a caption track may have any number of cues",
        promise=14,
        file="tasks/transcode/probe/captions.py",
        old=" or len(cues) >= MAX_CUES",
        new="",
        tests=("tests/media/test_caption_streams.py::test_cues_are_cut_with_a_warning_when_a_track_has_too_many",),
    ),
    Patch(
        name="captions may be of any size",
        promise=14,
        file="tasks/transcode/probe/captions.py",
        old="            self._room_bytes -= len(webvtt_cue(cue).encode())\n",
        new="",
        tests=(
            "tests/media/test_caption_streams.py::test_cues_are_cut_with_a_warning_when_their_files_would_be_too_large",
        ),
    ),
    Patch(
        name="a stalled disk fails an attempt",
        promise=6,
        file=f"{_SANDBOX}/ffmpeg.py",
        old='        run_child([binary, "-version"], limits=_VERSION_LIMITS, on_output=printed.extend)\n',
        new="        import subprocess\n\n"
        '        printed += subprocess.run([binary, "-version"], capture_output=True, timeout=1, env={}).stdout\n',
        tests=(f"{_PROGRESS}::test_version_of_ffmpeg_is_read_when_the_machine_stands_still_meanwhile",),
    ),
    Patch(
        name="a stopped child counts as hung",
        promise=6,
        file=f"{_SANDBOX}/idle.py",
        old="        if self._has_moved() or not self._is_asleep():\n",
        new="        if self._has_moved():\n",
        tests=(
            f"{_PROGRESS}::test_child_continues_when_it_was_stopped_for_longer_than_it_may_sleep",
            f"{_PROGRESS}::test_child_continues_when_it_waited_for_a_disk_for_longer_than_it_may_sleep",
            f"{_PROGRESS}::test_good_file_is_described_when_its_machine_stood_still",
        ),
    ),
    Patch(
        name="the time in which a machine stands still is counted",
        promise=6,
        file=f"{_SANDBOX}/idle.py",
        old="min(now_s - self._looked_at_s, _LONGEST_LOOK_S)",
        new="now_s - self._looked_at_s",
        tests=(f"{_PROGRESS}::test_time_in_which_the_whole_machine_stood_still_is_not_counted",),
    ),
    Patch(
        name="a hung child is never ended",
        promise=14,
        file=f"{_SANDBOX}/process.py",
        old="            if watch.idle_s > idle_limit_s:\n",
        new="            if False:\n",
        tests=(f"{_PROGRESS}::test_child_is_ended_when_it_sleeps_without_progress",),
    ),
    Patch(
        name="a crash of the probe is final",
        promise=6,
        file="tasks/transcode/probe/probe.py",
        old='        return InputSuspectError(\n            code="UNREADABLE",\n',
        new='        return InputRejectedError(\n            code="UNREADABLE",\n',
        tests=(f"{_PROGRESS}::test_file_is_only_suspected_when_a_machine_may_be_at_fault[SIGSEGV]",),
    ),
    Patch(
        name="a hang of the probe is final",
        promise=6,
        file="tasks/transcode/probe/probe.py",
        old='        raise InputSuspectError(code="TOO_DEMANDING"',
        new='        raise InputRejectedError(code="TOO_DEMANDING"',
        tests=(f"{_PROGRESS}::test_file_is_only_suspected_when_a_machine_may_be_at_fault[hang]",),
    ),
    Patch(
        name="an error of the disk is taken for a damaged file",
        promise=6,
        file="tasks/transcode/probe/child.py",
        old="        if file.error is not None:\n",
        new="        if False:\n",
        tests=(f"{_PROGRESS}::test_file_is_not_rejected_when_the_disk_cannot_be_read",),
    ),
    Patch(
        name="one machine rejects a file on its own",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old="    is_certain = _is_certain(job, attempt, code, crashed_unit)\n",
        new="    is_certain = bool(code)\n",
        tests=(f"{_SUSPECT}::test_owner_gets_no_message_when_one_machine_failed_to_read_the_file",),
    ),
    Patch(
        name="the same machine counts as a second one",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old='same.exclude(machine_id__in=["", attempt.machine_id]).exists()',
        new="same.exists()",
        tests=(f"{_SUSPECT}::test_job_fails_when_three_containers_of_the_only_machine_agree",),
    ),
    Patch(
        name="one machine is enough although others exist",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old=" and not _has_other_machines(job, attempt)\n",
        new="\n",
        tests=(f"{_SUSPECT}::test_one_machine_is_not_enough_when_another_one_has_worked_on_the_job",),
    ),
    Patch(
        name="a suspicion is counted",
        promise=6,
        file="tasks/lifecycle/reasons.py",
        old='        "INPUT_SUSPECT",\n        Counts.NO,\n',
        new='        "INPUT_SUSPECT",\n        Counts.YES,\n',
        tests=(f"{_SUSPECT}::test_owner_gets_no_message_when_one_machine_failed_to_read_the_file",),
    ),
    Patch(
        name="attempts do not record their machine",
        promise=6,
        file="tasks/services/container_api/claim.py",
        old="        machine_id=machine_id,\n",
        new="",
        tests=(f"{_SUSPECT}::test_job_fails_with_the_message_when_a_second_machine_agrees",),
    ),
    Patch(
        name="containers reject a file on their own",
        promise=6,
        file="tasks/container/program.py",
        old="                outcome.suspect_input(error.code, error.message)\n",
        new="                outcome.reject_input(error.code, error.message)\n",
        tests=(
            "tests/integration/test_pipeline_suspect.py::test_file_is_rejected_by_the_third_container_when_each_probe_crashes",
        ),
    ),
    Patch(
        name="a confined child writes bytecode",
        promise=14,
        file="tasks/transcode/sandbox/command.py",
        old='"-S", "-B", "-c"',
        new='"-S", "-c"',
        tests=("tests/media/test_walls.py::test_child_leaves_no_bytecode_when_its_code_has_none_yet",),
    ),
)
