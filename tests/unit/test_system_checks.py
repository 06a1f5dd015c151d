"""`manage.py check` reports missing or contradictory settings, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, run_checks
from kombu import Queue

from tasks.broker.app import celery_app
from tasks.conf import BridgeSettings
from tasks.schedule import beat_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

LIMITS_S = BridgeSettings().stage_limits_s
WRONG_NUMBERS: list[tuple[str, dict[str, Any]]] = [
    ("batchreel.E001", {"no_such_name": 1}),
    ("batchreel.E001", {"heartbeat_s": "20"}),
    ("batchreel.E001", {"max_attempts": 0}),
    ("batchreel.E001", {"submit_lookup_delay_s": -1}),
    ("batchreel.E001", {"vcpus": 1.5}),
    ("batchreel.E001", {"large_bodies_per_process": 0}),
    ("batchreel.E001", {"helper_target_s": 0}),
    ("batchreel.W052", {"body_limit_bytes": 2_621_441}),
    ("batchreel.E001", {"image": 7}),
    ("batchreel.E019", {"signed_url_ttl_s": 604_801}),
    ("batchreel.E001", {"secrets": "arn"}),
    ("batchreel.E006", {"profile": "no such profile"}),
    ("batchreel.E083", {"speech_engine": "whisper"}),
    ("batchreel.E001", {"speech_cpu_s_per_s": 0}),
    ("batchreel.E010", {"silence_threshold_s": 79}),
    ("batchreel.E010", {"missing_heartbeat_s": 79}),
    ("batchreel.E011", {"rescue_tick_s": 181}),
    ("batchreel.E012", {"tick_lease_s": 24}),
    ("batchreel.E013", {"attempt_timeout_s": 59, "scratch_wait_s": 1}),
    ("batchreel.E030", {"scratch_wait_s": 86400}),
    ("batchreel.E014", {"memory_cap_mib": 3499}),
    ("batchreel.E015", {"threads_per_unit": 3}),
    ("batchreel.W016", {"final_status_wait_s": 119}),
    ("batchreel.E018", {"submit_time_limit_s": 10.5}),
    ("batchreel.E007", {"storage_retry_s": 481}),
    ("batchreel.E007", {"stage_limits_s": LIMITS_S | {"publish": 599}}),
    ("batchreel.E001", {"stage_limits_s": LIMITS_S | {"fetch": "600"}}),
    ("batchreel.E001", {"stage_limits_s": LIMITS_S | {"fetch": 0}}),
    ("batchreel.E017", {"stage_limits_s": {"encode": 900}}),
    ("batchreel.E031", {"database_retry_s": 179}),
    ("batchreel.E053", {"event_retention_s": 86_399}),
    ("batchreel.E046", {"observe_time_limit_s": 8.1}),
    ("batchreel.E046", {"rescue_api_time_limit_s": 8.1}),
    ("batchreel.E046", {"reap_time_limit_s": 8.1}),
    ("batchreel.E047", {"purge_time_limit_s": 5}),
    ("batchreel.E064", {"cost_time_limit_s": 9}),
    ("batchreel.W063", {"spot_vcpu_h_usd": 0.05}),
    ("batchreel.E001", {"cost_limit": 0}),
    ("batchreel.E001", {"max_in_batch": -1}),
    ("batchreel.E032", {"stage_limits_s": LIMITS_S | {"encode": 239}}),
    ("batchreel.E001", {"one_machine_verdicts": 0}),
    ("batchreel.E001", {"event_time_limit_s": 0}),
    ("batchreel.E001", {"frame_ancestors": "https://lms.example.org"}),
    ("batchreel.E001", {"frame_ancestors": ["'self'; script-src *"]}),
    ("batchreel.E001", {"share_link_max_days": 0}),
    ("batchreel.E080", {"deliver_time_limit_s": 8.1}),
    ("batchreel.E080", {"webhook_timeout_s": 3.8}),
    ("batchreel.E081", {"mail_kinds": ["video.deleted"]}),
    ("batchreel.E082", {"outbox_retention_s": 86_399}),
    ("batchreel.E060", {"audit_s": 59}),
    ("batchreel.E061", {"push_timeout_s": 39}),
    ("batchreel.E062", {"event_time_limit_s": 6}),
]
RIGHT_NUMBERS: list[dict[str, Any]] = [
    {},
    {"silence_threshold_s": 80},
    {"deliver_time_limit_s": 8},
    {"audit_s": 60},
    {"push_timeout_s": 40},
    {"event_time_limit_s": 5.9},
    {"database_retry_s": 180},
    {"rescue_tick_s": 180},
    {"event_retention_s": 86_400},
    {"event_retention_s": 3600, "owner_retries_per_day": 0},
    {"tick_lease_s": 25},
    {"attempt_timeout_s": 60, "scratch_wait_s": 1},
    {"memory_cap_mib": 3500},
    {"threads_per_unit": 2},
    {"final_status_wait_s": 120},
    {"submit_lookup_delay_s": 0, "orphan_grace_s": 0.5},
    {"stage_limits_s": LIMITS_S | {"plan": 240, "encode": 240}},
]
PROTECTED: list[dict[str, Any]] = [
    {"task_time_limit": 1800, "task_soft_time_limit": None},
    {"task_acks_late": False, "task_reject_on_worker_lost": True, "task_acks_on_failure_or_timeout": False},
    {"result_backend": "redis://127.0.0.1/1", "task_ignore_result": False, "task_track_started": True},
    {"task_serializer": "pickle", "accept_content": ["pickle"]},
    {"task_routes": {"*": {"queue": "celery"}}, "task_default_queue": "celery"},
    {"task_create_missing_queues": True, "task_queues": None},
    {"worker_prefetch_multiplier": 4, "worker_max_tasks_per_child": 1},
    {"task_annotations": {"*": {"rate_limit": "10/s"}, "lessons.tasks.report": {"time_limit": 1800}}},
    {"beat_schedule": {"report": {"task": "lessons.tasks.report", "schedule": 60, "options": {"expires": 5}}}},
    {"beat_scheduler": "celery.beat:PersistentScheduler", "beat_schedule": beat_schedule()},
]
"""Settings of a site whose own tasks need them. Ours have their own options, so nothing is reported."""

WRONG_CELERY: list[tuple[str, dict[str, Any]]] = [
    ("batchreel.E020", {"task_annotations": {"*": {"time_limit": 1800}}}),
    ("batchreel.E020", {"task_annotations": [{"batchreel.submit": {"acks_late": False}}]}),
    ("batchreel.E022", {"task_queues": {"celery": {}}}),
    ("batchreel.E022", {"task_queues": [Queue("celery")]}),
    ("batchreel.W023", {"task_always_eager": True}),
    ("batchreel.W027", {"beat_scheduler": "celery.beat:PersistentScheduler", "beat_schedule": {}}),
    ("batchreel.W027", {"beat_scheduler": "no.such:Scheduler", "beat_schedule": {}}),
]
WRONG_TRANSPORT: list[tuple[str, dict[str, Any]]] = [
    ("batchreel.W021", {"visibility_timeout": 25}),
    ("batchreel.W026", {"socket_timeout": None}),
    ("batchreel.W026", {"socket_connect_timeout": None}),
]
BROKERS: list[tuple[set[str], dict[str, Any]]] = [
    (set(), {"broker_url": "redis://:pw@127.0.0.1:6379/7"}),
    (set(), {"broker_url": "redis+socket:///run/redis.sock"}),
    (set(), {"broker_url": "rediss://redis/0", "broker_use_ssl": {"ssl_cert_reqs": "required"}}),
    (set(), {"broker_url": "rediss://redis/0?ssl_cert_reqs=required"}),
    ({"batchreel.E040"}, {"broker_url": ""}),
    ({"batchreel.E040"}, {"broker_url": "http://redis/0"}),
    ({"batchreel.W045"}, {"broker_url": "amqp://rabbit//"}),
    ({"batchreel.E040"}, {"broker_url": "no.such.module://redis/0"}),
    ({"batchreel.E040"}, {"broker_url": "redis://:half#secret@redis:6379/0"}),
    ({"batchreel.E040"}, {"broker_url": "redis://redis/lectures"}),
    ({"batchreel.E040"}, {"broker_url": "redis://redis/0?no_such_option=1"}),
    ({"batchreel.E040"}, {"broker_url": "rediss://redis/0?ssl_cert_reqs=sometimes"}),
    ({"batchreel.E041"}, {"broker_url": "sentinel://one:26379;sentinel://two:26379"}),
    # kombu does not check the certificate unless an option asks for it.
    ({"batchreel.E043"}, {"broker_url": "rediss://redis/0"}),
    ({"batchreel.E043"}, {"broker_url": "rediss://redis/0?ssl_cert_reqs=none"}),
    ({"batchreel.E043"}, {"broker_use_ssl": {"ssl_cert_reqs": None}}),
    ({"batchreel.E042"}, {"broker_use_ssl": True}),
    ({"batchreel.E042"}, {"broker_use_ssl": {"ssl_no_such_option": 1}}),
    ({"batchreel.E042"}, {"broker_use_ssl": {"ssl_cert_reqs": "sometimes"}}),
    ({"batchreel.E042"}, {"broker_use_ssl": {"ssl_ca_certs": "/no/such/file"}}),
    ({"batchreel.E042"}, {"broker_use_ssl": {"ssl_ca_certs": __file__}}),
    ({"batchreel.W044"}, {"broker_use_ssl": {"ssl_cert_reqs": "required", "ssl_check_hostname": False}}),
]
"""What is found -> settings of Celery."""

SENTINEL_OPTIONS: list[tuple[set[str], dict[str, Any]]] = [
    (set(), {"master_name": "lectures"}),
    ({"batchreel.W026"}, {"master_name": "lectures", "sentinel_kwargs": {"password": "pw"}}),
    (set(), {"master_name": "lectures", "sentinel_kwargs": {"socket_timeout": 2, "socket_connect_timeout": 1}}),
    (
        {"batchreel.E043"},
        {
            "master_name": "lectures",
            "sentinel_kwargs": {
                "socket_timeout": 2,
                "socket_connect_timeout": 1,
                "ssl": True,
                "ssl_cert_reqs": "none",
            },
        },
    ),
]


def messages() -> list[CheckMessage]:
    return run_checks(tags=["batchreel"])


def ids() -> set[str]:
    return {str(message.id) for message in messages()}


@pytest.mark.parametrize("numbers", RIGHT_NUMBERS, ids=str)
def test_system_check_passes_when_the_numbers_are_consistent(settings: Settings, numbers: dict[str, Any]) -> None:
    settings.BATCHREEL = numbers
    assert messages() == []


@pytest.mark.parametrize(("expected", "numbers"), WRONG_NUMBERS, ids=str)
def test_system_check_names_the_setting_and_fix_when_a_number_is_wrong(
    settings: Settings, expected: str, numbers: dict[str, Any]
) -> None:
    settings.BATCHREEL = numbers
    found = messages()
    assert {message.id for message in found} == {expected}
    assert all(message.hint for message in found)
    assert any(name in message.msg for name in numbers for message in found) or "profile" in numbers


def test_system_check_fails_when_a_setting_is_none(settings: Settings) -> None:
    for name in BridgeSettings.__dataclass_fields__:
        settings.BATCHREEL = {name: None}
        assert ids() == {"batchreel.E001"}, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("VIDEO_BATCH_JOB_QUEUE", "batchreel.E002"), ("VIDEO_BATCH_JOB_DEFINITION", "batchreel.E003")],
)
def test_system_check_names_the_batch_setting_when_it_is_empty(settings: Settings, name: str, expected: str) -> None:
    setattr(settings, name, "")
    (found,) = messages()
    assert found.id == expected
    assert name in found.msg
    assert f"BATCHREEL['{name.removeprefix('VIDEO_BATCH_').lower()}'] or {name} in the settings module" in str(
        found.hint
    )


@pytest.fixture
def celery_conf(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a callable that changes settings of the Celery application for this test."""

    def change(**changes: Any) -> None:
        for name, value in changes.items():
            monkeypatch.setitem(celery_app().conf, name, value)

    return change


@pytest.mark.parametrize("changes", PROTECTED, ids=str)
def test_system_check_accepts_celery_settings_when_they_are_the_sites_business(
    celery_conf: Callable[..., None], changes: dict[str, Any]
) -> None:
    celery_conf(**changes)
    assert messages() == []


@pytest.mark.parametrize(("expected", "changes"), WRONG_CELERY, ids=str)
def test_system_check_reports_the_celery_setting_when_it_is_wrong(
    celery_conf: Callable[..., None], expected: str, changes: dict[str, Any]
) -> None:
    celery_conf(**changes)
    (found,) = messages()
    assert found.id == expected
    assert found.hint


@pytest.mark.parametrize(("expected", "options"), WRONG_TRANSPORT, ids=str)
def test_system_check_reports_the_broker_option_when_it_is_wrong(
    celery_conf: Callable[..., None], expected: str, options: dict[str, Any]
) -> None:
    celery_conf(broker_transport_options={**celery_app().conf.broker_transport_options, **options})
    assert ids() == {expected}


@pytest.mark.parametrize(("expected", "changes"), BROKERS, ids=str)
def test_system_check_reports_the_broker_when_celery_cannot_use_it_safely(
    celery_conf: Callable[..., None], expected: set[str], changes: dict[str, Any]
) -> None:
    celery_conf(**changes)
    found = messages()
    assert {message.id for message in found} == expected
    assert all(message.hint for message in found)
    assert "half" not in str(found)


@pytest.mark.parametrize(("expected", "options"), SENTINEL_OPTIONS, ids=str)
def test_system_check_reports_the_sentinels_when_their_options_are_wrong(
    celery_conf: Callable[..., None], expected: set[str], options: dict[str, Any]
) -> None:
    celery_conf(
        broker_url="sentinel://one:26379;sentinel://two:26379",
        broker_transport_options={**celery_app().conf.broker_transport_options, **options},
    )
    assert ids() == expected


def test_system_check_fails_when_the_secret_key_is_empty(settings: Settings) -> None:
    settings.SECRET_KEY = ""
    assert ids() == {"batchreel.E005"}


def test_system_check_fails_when_the_database_is_not_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    assert ids() == {"batchreel.E004"}


def test_system_check_fails_when_no_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "NAME", "")
    assert ids() == {"batchreel.E008"}


@pytest.mark.parametrize(("expected", "place"), [("batchreel.W050", None), ("batchreel.E051", 0)])
def test_system_check_reports_the_body_limit_when_it_cannot_work(
    settings: Settings, expected: str, place: int | None
) -> None:
    limit = "tasks.views.body_limit.BodyLimitMiddleware"
    others = [name for name in settings.MIDDLEWARE if name != limit]
    settings.MIDDLEWARE = others if place is None else [*others[:place], limit, *others[place:]]
    (found,) = messages()
    assert found.id == expected
    assert limit in str(found.hint)
