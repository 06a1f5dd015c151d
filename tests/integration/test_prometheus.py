"""A real Prometheus scrapes the running site with our rules, and its alerts fire in time."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.db import transaction
from django.db.models.functions import Now

from project.local.servers.lifeline import lifeline_command
from project.local.servers.ports import free_port
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Tick
from tasks.services.container_api.finish import fail_attempt
from tests.factories import age, claimed, submitted_attempt
from tests.integration.celery_nodes import beat_process, worker_process
from tests.integration.faults.web_site import WebSite
from tests.polling import wait_for
from tests.unit.test_monitoring_files import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.jobs import Jobs

LIMIT_S = 300
"""An alert fires within five minutes of its cause."""

_SCRAPE_S = 15
"""The interval of docs/monitoring/prometheus.yml."""


class Prometheus:
    """Debian's Prometheus on loopback, with our rules and the example configuration pointed at the test's site."""

    def __init__(self, folder: Path, *, site_url: str, token: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("prometheus is not on PATH: install the package prometheus")
        shutil.copy(FOLDER / "alerts.yml", folder)
        config = (FOLDER / "prometheus.yml").read_text()
        assert f"scrape_interval: {_SCRAPE_S}s" in config
        address = site_url.removeprefix("http://").rstrip("/")
        config = config.replace("scheme: https", "scheme: http").replace("video.example.org", address)
        (folder / "prometheus.yml").write_text(config)
        (folder / "metrics-token").write_text(token)
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                lifeline_command(
                    [*command, f"--web.listen-address={self.url.removeprefix('http://')}"],
                    stop_signal=15,
                    grace_s=8,
                    orphan_grace_s=8,
                ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )

    def get(self, path: str, **query: object) -> Any:
        """Return the data of an API call. Raises AssertionError if Prometheus rejects it."""
        response = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        document = response.json()
        assert document["status"] == "success", document
        return document["data"]

    def is_scraping(self) -> bool:
        """Return whether the site answers its scrapes."""
        try:
            targets = self.get("targets")["activeTargets"]
        except (requests.ConnectionError, requests.JSONDecodeError):  # not listening, or not ready
            return False
        return bool(targets) and all(target["health"] == "up" for target in targets)

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {each["labels"]["alertname"] for each in self.get("alerts")["alerts"] if each["state"] == "firing"}

    def stop(self) -> None:
        """End Prometheus, and close the pipe by which it would notice our end."""
        with self._process:
            self._process.terminate()


@pytest.fixture
def token() -> str:
    return secrets.token_urlsafe(24)


@pytest.fixture
def site_environment(
    transactional_db: None,
    program_environment: dict[str, str],
    token: str,
    dedicated_queue: Jobs,
    fast_definition: str,
) -> dict[str, str]:
    """Environment of a site whose Batch jobs wait forever, since the queue has fewer vCPUs than a container needs."""
    return {
        **program_environment,
        "BATCHREEL": json.dumps({"vcpus": 64}),
        "LOG_FORMAT": "json",
        "METRICS_TOKEN": token,
        "VIDEO_BATCH_JOB_DEFINITION": fast_definition,
        "VIDEO_BATCH_JOB_QUEUE": dedicated_queue.queue,
    }


@pytest.fixture
def prometheus(site_environment: dict[str, str], token: str, tmp_path: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes the running web server."""
    site = WebSite(site_environment, tmp_path)
    site.wait_until_it_responses()
    (tmp_path / "prometheus").mkdir()
    prometheus = Prometheus(tmp_path / "prometheus", site_url=site.url, token=token)
    try:
        wait_for(prometheus.is_scraping, what="the first scrape")
        yield prometheus
    finally:
        prometheus.stop()
        site.kill()


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_alerts_fire_within_five_minutes_when_queue_disk_or_beat_fail(
    prometheus: Prometheus,
    site_environment: dict[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    worker, beat = (start(site_environment, tmp_path) for start in (worker_process, beat_process))
    try:
        worker.ready()
        wait_for(lambda: Tick.objects.filter(fence__gte=2).count() >= 5, limit_s=240, what="two runs of each tick")
        wait_for(lambda: not prometheus.firing(), limit_s=120, what="a site without alerts")

        began_s = time.monotonic()
        _fill_a_disk()
        waiting = wait_for(_waiting_attempt, limit_s=90, what="an attempt that waits in AWS Batch")
        age(Attempt, "created_at", seconds=3600)
        for alert in ("BatchreelDiskFull", "BatchreelQueueStuck"):
            wait_for(lambda alert=alert: alert in prometheus.firing(), limit_s=LIMIT_S, what=alert)
            record_property(f"{alert}_s", round(time.monotonic() - began_s))
        assert Attempt.objects.get(pk=waiting.pk).state == "SUBMITTED"

        began_s = time.monotonic()
        beat.kill()
        wait_for(
            lambda: "BatchreelTickMissing" in prometheus.firing(), limit_s=LIMIT_S, what="the alert of a dead beat"
        )
        record_property("BatchreelTickMissing_s", round(time.monotonic() - began_s))
        assert prometheus.firing() <= {"BatchreelDiskFull", "BatchreelQueueStuck", "BatchreelTickMissing"}
        _query_every_panel(prometheus)
    finally:
        for process in (beat, worker):
            process.teardown()


def _fill_a_disk() -> None:
    with transaction.atomic():  # so that no worker sees the job before its attempt has ended
        for _ in range(3):
            claim = claimed(submitted_attempt())
            fail_attempt(claim, reason=Reason.SCRATCH_TOO_SMALL, text="no room", exit_code=30)


def _waiting_attempt() -> Attempt | None:
    return Attempt.objects.filter(state="SUBMITTED", created_at__lt=Now()).first()


def _query_every_panel(prometheus: Prometheus) -> None:
    """Assert that Prometheus accepts the expression of each panel."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    empty = {
        panel["title"]
        for panel in panels
        if not any(prometheus.get("query", query=target["expr"])["result"] for target in panel["targets"])
    }
    # Nothing has been published, and no call has failed.
    assert empty <= {"Failed calls to AWS Batch, per hour"}
