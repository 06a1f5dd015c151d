"""Redis Sentinel: ticks and wake-ups continue with the next master when the first one dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks import wakeup
from tasks.broker import redis_broker
from tasks.doctor.probes.broker import check_broker
from tasks.metrics import broker
from tasks.metrics.definitions import BROKER_UP
from tasks.models import Tick
from tests.integration.dedicated_redis import worker_has_ended
from tests.integration.sentinel_redis import MASTER_NAME, SENTINEL_PASSWORD, SentinelRedis
from tests.polling import wait_for
from tests.wakeup_broker import finish_wakeups, send_wakeups_to, set_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.celery_nodes import RunningSite


@pytest.fixture
def sentinel_redis(tmp_path: Path) -> Iterator[SentinelRedis]:
    """Yield a master, a replica and three sentinels."""
    redis = SentinelRedis(tmp_path)
    try:
        redis.start()
        yield redis
    finally:
        redis.stop()


@pytest.fixture
def site_environment(site_environment: dict[str, str], sentinel_redis: SentinelRedis) -> dict[str, str]:
    """Return the environment of the fast site on Redis Sentinel."""
    return {**site_environment, **sentinel_redis.environment}


def submit_ticks() -> int:
    """Return the number of submit ticks so far."""
    return Tick.objects.filter(name="submit").values_list("fence", flat=True).first() or 0


@pytest.mark.usefixtures("wakeups_are_sent")
@pytest.mark.long
def test_ticks_and_wakeups_continue_when_the_master_and_a_sentinel_are_killed(
    sentinel_redis: SentinelRedis, running_site: RunningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for(lambda: submit_ticks() >= 2, what="ticks through the first master")
    first_master = sentinel_redis.master_port()
    sentinel_redis.kill(sentinel_redis.sentinel_ports[0])
    sentinel_redis.kill(first_master)
    wait_for(lambda: sentinel_redis.master_port() not in {0, first_master}, what="the failover")

    seen = submit_ticks()

    def ticks_continue() -> bool:
        if worker_has_ended(running_site):
            running_site.worker.restart()
        return submit_ticks() >= seen + 3

    wait_for(ticks_continue, what="ticks through the second master")
    finish_wakeups()
    options = {"sentinel_master": MASTER_NAME, "sentinel_password": SENTINEL_PASSWORD}
    with send_wakeups_to(sentinel_redis.url, **options):
        wakeup.send_wakeup()
        finish_wakeups()
    wait_for(lambda: "Task batchreel.wake[" in running_site.worker.logs(), what="the wake-up")
    set_broker(monkeypatch, redis_broker(sentinel_redis.url, **options))
    assert broker.read_broker()[BROKER_UP] == {(): 1}
    server, *_ = check_broker()
    assert f"is reachable as the sentinels' master 127.0.0.1:{sentinel_redis.master_port()}" in server.why
