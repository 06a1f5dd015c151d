"""Celery's settings for a Redis URL: certificates are checked unless the URL changes that, and sentinels are equal."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tasks.broker import RedisBroker, redis_broker

CA_FILE = "/etc/redis-ca.pem"
TLS: list[tuple[str, str, dict[str, Any]]] = [
    ("rediss://:a%23b@redis:6380/1", "rediss://:a%23b@redis:6380/1", {}),
    ("rediss://redis/0?ssl_cert_reqs=none", "rediss://redis/0", {"ssl_cert_reqs": ssl.CERT_NONE}),
    ("rediss://redis/0?ssl_cert_reqs=CERT_OPTIONAL", "rediss://redis/0", {"ssl_cert_reqs": ssl.CERT_OPTIONAL}),
    ("rediss://redis/0?ssl_cert_reqs=sometimes", "rediss://redis/0", {"ssl_cert_reqs": "sometimes"}),
    ("rediss://redis/0?ssl_ca_certs=/other.pem", "rediss://redis/0", {"ssl_ca_certs": "/other.pem"}),
    ("rediss://redis/0?ssl_check_hostname=False", "rediss://redis/0", {"ssl_check_hostname": False}),
    ("rediss://redis/0?ssl_check_hostname=0", "rediss://redis/0", {"ssl_check_hostname": True}),
    ("rediss://redis/0?a=1&ssl_keyfile=/k", "rediss://redis/0?a=1", {"ssl_keyfile": "/k"}),
    ("redis://redis/0?ssl_certfile=/c", "redis://redis/0", {"ssl_certfile": "/c"}),
]


@pytest.mark.parametrize(("given", "url", "changes"), TLS, ids=[given for given, *_ in TLS])
def test_certificate_is_required_when_the_url_does_not_change_that(
    given: str, url: str, changes: dict[str, Any]
) -> None:
    required = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": CA_FILE}
    assert redis_broker(given, ca_file=CA_FILE) == RedisBroker(url, {**required, **changes}, {})


def test_systems_authorities_are_used_when_no_file_is_named() -> None:
    assert redis_broker("rediss://redis/0").use_ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "redis+socket:///run/redis.sock?virtual_host=1", "redis://:half#secret@[::1", ""],
)
def test_url_is_kept_when_it_needs_neither_tls_nor_sentinels(url: str) -> None:
    assert redis_broker(url, ca_file=CA_FILE, sentinel_master="lectures") == RedisBroker(
        url, use_ssl=False, transport_options={}
    )


def test_every_sentinel_has_the_password_and_the_database_when_one_has() -> None:
    broker = redis_broker("sentinel://one:1;sentinel://user:pw@two:2/3; three:3 ;", sentinel_master="lectures")
    assert broker.url == "sentinel://user:pw@one:1/3;sentinel://user:pw@two:2/3;sentinel://user:pw@three:3/3"
    assert broker.use_ssl is False
    assert broker.transport_options["master_name"] == "lectures"


def test_connections_to_sentinels_have_a_timeout_and_tls_when_the_master_has() -> None:
    plain = redis_broker("sentinel://one:1", sentinel_password="pw", socket_timeout_s=5).transport_options
    kwargs = plain["sentinel_kwargs"]
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"], kwargs["password"]) == (5, 1, "pw")
    assert kwargs["retry"].get_retries() == 0
    assert "master_name" not in plain
    assert "ssl" not in kwargs
    secure = redis_broker("sentinel://one:1?ssl_cert_reqs=required", ca_file=CA_FILE)
    use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": CA_FILE}
    assert (secure.url, secure.use_ssl) == ("sentinel://one:1", use_ssl)
    assert secure.transport_options["sentinel_kwargs"].items() >= {"ssl": True, **use_ssl}.items()
