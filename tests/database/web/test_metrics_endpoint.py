"""The endpoint for Prometheus."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from tasks.broker import redis_broker
from tasks.metrics import broker
from tasks.metrics.collector import RowsCollector
from tasks.metrics.tally import tally_ended
from tests.factories import published, submitted_attempt
from tests.wakeup_broker import set_broker

pytestmark = pytest.mark.django_db

_TOKEN = "a-token-of-at-least-20-characters"
_ALLOWED = {"Authorization": f"Bearer {_TOKEN}"}


@pytest.fixture(autouse=True)
def _token(settings: Settings) -> None:
    settings.METRICS_TOKEN = _TOKEN


def scraped(client: Client, **headers: str) -> dict[str, float]:
    """Return all samples of a scrape, by name and labels."""
    response = client.get(reverse("batchreel:metrics"), headers={**_ALLOWED, **headers})
    assert response.status_code == 200
    parse = parse_openmetrics if "openmetrics" in response["Content-Type"] else text_string_to_metric_families
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in parse(response.content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    "accepted", ["*/*", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"]
)
def test_metrics_show_the_rows_when_prometheus_scrapes(client: Client, accepted: str) -> None:
    published()
    submitted_attempt()
    tally_ended()
    samples = scraped(client, Accept=accepted)
    assert samples["batchreel_jobs[upload][QUEUED]"] == 1
    assert samples["batchreel_attempts[SUBMITTED]"] == 1
    assert samples["batchreel_attempts_ended_total[no][SUCCEEDED]"] == 1
    assert samples["batchreel_ready_seconds_bucket[60.0]"] == 1
    assert samples["batchreel_ready_seconds_bucket[+Inf]"] == samples["batchreel_ready_seconds_count"] == 1
    assert samples["batchreel_broker_up"] == 1
    assert samples["batchreel_tick_age_seconds[submit]"] == float("inf")
    assert samples["batchreel_database_bytes"] > samples["batchreel_table_bytes[batchreel_job]"] > 0


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Basic {_TOKEN}", f"Bearer {_TOKEN} ", "Bearer \xe9"])
def test_metrics_are_refused_when_the_token_is_missing_or_wrong(client: Client, sent: str) -> None:
    response = client.get(reverse("batchreel:metrics"), headers={"Authorization": sent} if sent else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.content == b""


def test_metrics_do_not_exist_when_the_site_has_no_token(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    for headers in ({}, {"Authorization": "Bearer "}, _ALLOWED):
        assert client.get(reverse("batchreel:metrics"), headers=headers).status_code == 404


def test_scrape_is_refused_with_503_when_the_database_is_unavailable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise OperationalError

    monkeypatch.setattr("tasks.metrics.collector.read_gauges", unavailable)
    assert client.get(reverse("batchreel:metrics"), headers=_ALLOWED).status_code == 503


def test_metrics_have_all_rows_when_redis_is_unavailable(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    set_broker(monkeypatch, redis_broker("redis://127.0.0.1:1/0"))
    samples = scraped(client)
    assert samples["batchreel_broker_up"] == 0
    assert "batchreel_jobs[upload][QUEUED]" in samples


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://127.0.0.1:1",
        "redis://127.0.0.1:1/0?ssl_cert_reqs=required",
        "rediss://127.0.0.1:1/0?ssl_cert_reqs=none",
        "unknown://127.0.0.1:1",
    ],
)
def test_broker_is_reported_as_down_when_its_url_is_of_any_kind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_broker(monkeypatch, redis_broker(url, sentinel_master="main"))
    assert {metric.name: set(values.values()) for metric, values in broker.read_broker().items()} == {"broker_up": {0}}


def test_collector_queries_nothing_when_a_site_registers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.metrics.collector.read_gauges", None)
    CollectorRegistry(auto_describe=True).register(RowsCollector())
