"""Faults of the storage for tests in this process: errors of calls, and connections that are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    import pytest
    from pytest_django import Settings

    from tests.cutting_proxy import CuttingProxy


def shorten_retry_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses between retries short."""
    monkeypatch.setattr("tasks.storage.bucket._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("tasks.storage.bucket._LONGEST_PAUSE_S", 0.01)


def use_proxy(settings: Settings, proxy: CuttingProxy) -> None:
    """Make the default storage reach its bucket through the proxy from now on."""
    storage = settings.STORAGES["default"]
    options = {**storage["OPTIONS"], "endpoint_url": proxy.url}
    settings.STORAGES = {**settings.STORAGES, "default": {**storage, "OPTIONS": options}}


def fail_calls(
    monkeypatch: pytest.MonkeyPatch, operation: str, *, times: int, status: int, code: str, after_effect: bool = False
) -> list[str]:
    """Fail the next `times` calls of one operation with an error, and return the growing list of its calls."""
    real_call, calls = BaseClient._make_api_call, []  # type: ignore[attr-defined]

    def response(client: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name != operation:
            return real_call(client, name, arguments)
        calls.append(name)
        if len(calls) > times:
            return real_call(client, name, arguments)
        if after_effect:
            real_call(client, name, arguments)
        response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, name)

    monkeypatch.setattr(BaseClient, "_make_api_call", response)
    return calls
