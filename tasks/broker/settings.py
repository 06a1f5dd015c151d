"""Celery's settings for a Redis URL: TLS with a checked certificate, and Redis Sentinel.

kombu, Celery's messaging library, leaves gaps that `redis_broker` closes: `rediss://` without
options does not check the server's certificate, options in the URL replace those in
`broker_use_ssl` instead of adding to them, Flower ignores options in the URL, and only the first of
several sentinels has the URL's password and database. A settings module passes the three results on
as they are. Nothing here uses the network or raises an error for a bad URL: `manage.py check` reports it.
"""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

_CERTIFICATE_MODES = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL,
    "CERT_NONE": ssl.CERT_NONE,
}
"""Values of `ssl_cert_reqs` in a URL, as kombu reads them."""


class RedisBroker(NamedTuple):
    """Values of CELERY_BROKER_URL and CELERY_BROKER_USE_SSL, and what to add to CELERY_BROKER_TRANSPORT_OPTIONS."""

    url: str
    use_ssl: dict[str, Any] | bool
    transport_options: dict[str, Any]


def redis_broker(
    url: str,
    *,
    ca_file: str = "",
    sentinel_master: str = "",
    sentinel_password: str = "",
    socket_timeout_s: float = 2,
    connect_timeout_s: float = 1,
) -> RedisBroker:
    """Return Celery's settings for a `redis://`, `rediss://` or `sentinel://` URL.

    The connection uses TLS with `rediss://`, or if the URL has an option that begins with `ssl_`.
    The certificate is then required and checked against `ca_file`, or else the system's store,
    unless an option in the URL changes that. Several sentinels are separated by semicolons; what one
    of their URLs has, credentials or a database, applies to all. The timeouts are those of the
    connections to sentinels, which have their own.
    """
    is_sentinel = url.lower().startswith("sentinel://")
    try:
        urls = [urlsplit(each) for each in _single_urls(url)]
    except ValueError:
        return RedisBroker(url, use_ssl=False, transport_options={})
    use_ssl = _use_ssl(urls, ca_file)
    options: dict[str, Any] = {}
    if use_ssl:
        urls = [_without_tls_options(each) for each in urls]
    if is_sentinel:
        urls = _same_for_all(urls)
        options["sentinel_kwargs"] = {
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": connect_timeout_s,
            # redis-py would try an unreachable sentinel ten more times before it asks the next one.
            "retry": Retry(NoBackoff(), 0),
            **({"password": sentinel_password} if sentinel_password else {}),
            **({"ssl": True, **use_ssl} if use_ssl else {}),
        }
        if sentinel_master:
            options["master_name"] = sentinel_master
    if use_ssl or is_sentinel:
        url = ";".join(each.geturl() for each in urls)
    return RedisBroker(url, use_ssl=use_ssl or False, transport_options=options)


def _single_urls(url: str) -> list[str]:
    """Return the URLs between the semicolons; a sentinel may be just host and port."""
    each_url = [each.strip() for each in url.split(";") if each.strip()]
    if url.lower().startswith("sentinel://"):
        each_url = [each if "://" in each else f"sentinel://{each}" for each in each_url]
    return each_url


def _use_ssl(urls: list[SplitResult], ca_file: str) -> dict[str, Any]:
    """Return redis-py's options for TLS; an empty dictionary means no TLS."""
    in_urls = {name: value for each in urls for name, value in _tls_options(each).items()}
    if not in_urls and not any(each.scheme == "rediss" for each in urls):
        return {}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **({"ssl_ca_certs": ca_file} if ca_file else {}), **in_urls}


def _tls_options(url: SplitResult) -> dict[str, Any]:
    options: dict[str, Any] = {name: value for name, value in parse_qsl(url.query) if name.startswith("ssl_")}
    if mode := options.get("ssl_cert_reqs"):
        options["ssl_cert_reqs"] = _CERTIFICATE_MODES.get(mode, mode)
    if checks_host_name := options.get("ssl_check_hostname"):
        options["ssl_check_hostname"] = checks_host_name.lower() != "false"
    return options


def _without_tls_options(url: SplitResult) -> SplitResult:
    others = [(name, value) for name, value in parse_qsl(url.query) if not name.startswith("ssl_")]
    return url._replace(query=urlencode(others))


def _same_for_all(urls: list[SplitResult]) -> list[SplitResult]:
    """Give every sentinel's URL the credentials and the database of the first one that has them.

    After a failure Celery continues with the next URL, and takes both from there.
    """
    credentials = next((each.netloc.rpartition("@")[0] for each in urls if "@" in each.netloc), "")
    database = next((each.path for each in urls if each.path.strip("/")), "")
    return [
        each._replace(
            netloc=f"{credentials}@{each.netloc}" if credentials and "@" not in each.netloc else each.netloc,
            path=each.path if each.path.strip("/") else database,
        )
        for each in urls
    ]
