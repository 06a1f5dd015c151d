"""The OpenAPI document: it is current, complete, and the same on each site."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.utils.translation import override
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.validation import validate_schema
from rest_framework.test import APIClient

from tasks.api import document
from tests.database.api.write_document import PAGE, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


def test_document_is_current_when_an_operation_changes() -> None:
    assert PAGE.read_text() == rendered(), "run: python -m tests.database.api.write_document"


def test_document_is_valid_when_it_is_read_as_openapi_3_1() -> None:
    found = yaml.safe_load(PAGE.read_text())
    assert found["openapi"] == "3.1.0"
    validate: Any = validate_schema
    validate(found)


def texts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from texts(each)
    elif isinstance(node, list):
        for each in node:
            yield from texts(each)


def test_null_is_a_type_when_a_value_may_be_missing() -> None:
    # `nullable` is no word of OpenAPI 3.1: clients that are made from the document would refuse null.
    found = yaml.safe_load(PAGE.read_text())
    assert not [node for node in texts(found) if "nullable" in node]
    page = found["components"]["schemas"]["VideoPage"]["properties"]
    assert page["next"]["type"] == page["previous"]["type"] == ["string", "null"]


def test_every_operation_has_problems_and_a_name_of_its_own_when_one_is_added() -> None:
    found = yaml.safe_load(PAGE.read_text())
    listed = [operation for path in found["paths"].values() for operation in path.values()]
    problem = {"$ref": "#/components/schemas/Problem"}
    for operation in listed:
        assert operation["responses"]["default"]["content"] == {"application/problem+json": {"schema": problem}}
        assert operation["summary"]
    assert len({operation["operationId"] for operation in listed}) == len(listed) >= 30


def test_document_is_the_same_when_the_site_has_settings_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REST_FRAMEWORK = {
        "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.coreapi.AutoSchema",
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
    }
    own = {
        "TITLE": "The site's own",
        "LICENSE": {"name": "The site's own"},
        "SECURITY": [{"other": []}],
        "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
        "POSTPROCESSING_HOOKS": ["drf_spectacular.contrib.djangorestframework_camel_case.camelize_serializer_fields"],
    }
    # drf-spectacular reads the site's settings once, when it is imported, and keeps each as an attribute.
    kept = vars(spectacular_settings)
    monkeypatch.setattr(spectacular_settings, "__dict__", {**kept, "_user_settings": own, "_cached_attrs": set()})
    for name in own:
        vars(spectacular_settings).pop(name, None)
    assert spectacular_settings.TITLE == "The site's own"
    with override("ko"):
        assert rendered() == PAGE.read_text()
    assert spectacular_settings.TITLE == "The site's own"


@pytest.mark.django_db
def test_document_is_made_once_when_many_people_read_it(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    # drf-spectacular patches its settings for all threads, so two at once would spoil each other's document.
    settings.ALLOWED_HOSTS = ["a.test", "b.test"]
    calls: list[str] = []
    made = document.rendered
    monkeypatch.setattr(document.Document, "_kept", "")
    monkeypatch.setattr(document, "rendered", lambda *rest: calls.append("") or made(*rest))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(served, ["a.test", "b.test"] * 4))
    assert len(calls) == 1
    assert {each["servers"][0]["url"] for each in found} == {"http://a.test/api", "http://b.test/api"}


def served(host: str) -> Any:
    response = APIClient().get("/api/openapi.yaml", headers={"Host": host})
    return yaml.safe_load(response.content)


@pytest.mark.django_db
def test_site_serves_the_document_with_its_own_address_when_nobody_is_signed_in() -> None:
    response = APIClient().get("/api/openapi.yaml")
    assert response.status_code == 200
    served = yaml.safe_load(response.content)
    assert served.pop("servers") == [{"url": "http://testserver/api"}]
    expected = yaml.safe_load(PAGE.read_text())
    expected.pop("servers")
    assert served == expected
