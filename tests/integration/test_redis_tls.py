"""Redis over TLS: with the right authority everything runs, with a wrong one no program sends anything."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from project.local.servers.ports import free_port
from tasks import wakeup
from tasks.broker import redis_broker
from tasks.doctor.probes.broker import check_broker
from tasks.models import Tick
from tests.integration.celery_nodes import NodeProcess, beat_process, worker_process
from tests.polling import wait_for
from tests.tls_redis import TlsProxy, make_authority
from tests.wakeup_broker import assert_no_wait_for_redis, finish_wakeups, send_wakeups_to, set_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite
    from tests.integration.dedicated_redis import DedicatedRedis

REJECTED = "CERTIFICATE_VERIFY_FAILED"

START_LIMIT_S = 120.0
"""Three programs start at once, on a machine that may be busy."""


@pytest.fixture
def tls_redis(dedicated_redis: DedicatedRedis, tmp_path: Path) -> Iterator[TlsProxy]:
    """Yield a Redis behind TLS, whose certificate is from the authority in `authority.pem`."""
    with TlsProxy(dedicated_redis.url, make_authority(tmp_path)).running() as proxy:
        yield proxy


class TestRightAuthority:
    @pytest.fixture
    def site_environment(self, site_environment: dict[str, str], tls_redis: TlsProxy, tmp_path: Path) -> dict[str, str]:
        """Return the environment of the fast site on the Redis behind TLS."""
        return {**site_environment, "REDIS_URL": tls_redis.url, "REDIS_CA_FILE": str(tmp_path / "authority.pem")}

    @pytest.mark.usefixtures("wakeups_are_sent")
    def test_tasks_run_over_tls_when_the_authority_is_named(
        self, running_site: RunningSite, tls_redis: TlsProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        ca_file = str(tmp_path / "authority.pem")
        wait_for(lambda: Tick.objects.filter(name="submit", fence__gt=0).exists(), what="a submit tick")
        with send_wakeups_to(tls_redis.url, ca_file=ca_file):
            wakeup.send_wakeup()
            finish_wakeups()
        wait_for(lambda: "Task batchreel.wake[" in running_site.worker.logs(), what="the wake-up")
        assert tls_redis.accepted >= 3  # worker, beat, and this process
        assert "insecure" not in running_site.worker.logs() + running_site.beat.logs()
        set_broker(monkeypatch, redis_broker(tls_redis.url, ca_file=ca_file))
        server, *_ = check_broker()
        assert "is reachable over TLS with a checked certificate" in server.why


@pytest.mark.long
@pytest.mark.parametrize("ca_file", ["", "another.pem"], ids=["no authority", "another authority"])
@pytest.mark.usefixtures("wakeups_are_sent")
def test_no_program_sends_anything_when_the_certificate_is_not_trusted(
    ca_file: str, tls_redis: TlsProxy, site_environment: dict[str, str], tmp_path: Path
) -> None:
    make_authority(tmp_path, name="another")
    ca_file = ca_file and str(tmp_path / ca_file)
    environment = {**site_environment, "REDIS_URL": tls_redis.url, "REDIS_CA_FILE": ca_file}
    programs = [
        worker_process(environment, tmp_path),
        beat_process(environment, tmp_path),
        flower_process(environment, tmp_path),
    ]
    try:
        url = f"{tls_redis.url}?ssl_ca_certs={ca_file}" if ca_file else tls_redis.url
        assert_no_wait_for_redis(wakeup.send_wakeup, redis_away=lambda: nullcontext(url))
        for program in programs:
            what = f"the error of {program.name}"
            wait_for(lambda program=program: REJECTED in program.logs(), limit_s=START_LIMIT_S, what=what)
    finally:
        for program in programs:
            program.teardown()
    assert tls_redis.accepted == 0


def flower_process(environment: dict[str, str], folder: Path) -> NodeProcess:
    """Start Flower."""
    return NodeProcess(
        name="flower",
        arguments=["flower", "--address=127.0.0.1", f"--port={free_port()}"],
        environment={**environment, "FLOWER_BASIC_AUTH": "operator:secret"},
        log_path=folder / "flower.log",
        ready_line="Visit me",
    )
