"""The containers' command of a site of its own: what the doctor makes of it, and what it reports about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tasks.batch.definition import PARAMETERS, command_with
from tasks.batch.logs import LogLine, LogTail
from tasks.conf import BridgeSettings
from tasks.doctor.finding import Status
from tasks.doctor.from_batch import _findings
from tasks.doctor.probes.batch import _command
from tasks.lifecycle.observation import BatchStatus, Observation

if TYPE_CHECKING:
    from pytest_django import Settings

OWN = ["env", "-C", "/srv/a site", "/srv/venv/bin/python", "-m", "tasks.container"]


@pytest.mark.parametrize(
    ("configured", "command"),
    [
        ([], ["python", "-m", "tasks.doctor"]),
        (OWN, [*OWN[:-1], "tasks.doctor"]),
        (
            ["sh", "-c", 'exec python -m tasks.container "$@"', "-"],
            ["sh", "-c", 'exec python -m tasks.doctor "$@"', "-"],
        ),
        (["/entry", "transcode"], ["python", "-m", "tasks.doctor"]),
        (["python", "-m", "mytasks.container"], ["python", "-m", "tasks.doctor"]),
    ],
    ids=["none", "env", "shell", "script", "another module"],
)
def test_doctor_in_batch_starts_like_a_container_when_the_site_has_a_command(
    configured: list[str], command: list[str]
) -> None:
    assert command_with("tasks.doctor", BridgeSettings(container_command=configured)) == command


@pytest.mark.parametrize(
    ("command", "status", "why"),
    [
        (OWN, Status.OK, "env -C '/srv/a site' /srv/venv/bin/python -m tasks.container Ref::job_id"),
        (["sh", "-c", "exec python -m tasks.container"], Status.OK, "this code has its module"),
        (["/entry", "transcode"], Status.OK, "only `doctor --from-batch` can check it"),
        (["python", "-m", "tasks.gone"], Status.FAILED, "this code has no module tasks.gone"),
    ],
    ids=["env", "shell", "script", "gone"],
)
def test_doctor_shows_the_registered_command_when_the_site_has_its_own(
    command: list[str], status: Status, why: str, settings: Settings
) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "container_command": command}
    finding = _command([*command, *PARAMETERS])
    assert (finding.status, why in finding.why) == (status, True), finding.why


def test_command_without_a_module_fails_when_it_is_not_the_sites() -> None:
    assert _command(["sleep", "60"]).status is Status.FAILED


@pytest.mark.parametrize(
    ("line", "fix", "absent"),
    [
        (
            "ModuleNotFoundError: No module named 'mysite'",
            "does not find mysite. Its code is not on the path",
            "format",
        ),
        ("/bin/python: No module named tasks.doctor", "older than this code", "format"),
        ("exec /bin/python: exec format error", "another architecture", "No module"),
        ("Killed", "Read the stream s of the log group /aws/batch/job", "format"),
    ],
    ids=["the site's module", "ours", "architecture", "another"],
)
def test_doctor_from_batch_names_the_cause_when_the_container_logs_no_findings(
    line: str, fix: str, absent: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "container_command": OWN}
    monkeypatch.setattr("tasks.doctor.from_batch.log_tail", lambda _: LogTail([LogLine(datetime.now(UTC), line)], ""))
    monkeypatch.setattr("tasks.doctor.from_batch._END_OF_LOG_S", 0.1)
    seen = Observation(batch_job_id="b", status=BatchStatus.FAILED, started=True, exit_code=1, log_stream="s")
    (finding,) = _findings(seen, wait_s=1)
    assert line in finding.why
    assert fix in finding.fix
    assert absent not in finding.fix
