"""Endpoints of webhooks by the API: what may be entered, secrets, and deliveries."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now

from tasks.lifecycle.states import OutboxKind
from tasks.models import Delivery, OutboxEvent, WebhookEndpoint
from tasks.services.delivery.endpoints import signing_secrets
from tests.database.api.clients import problem, with_token

if TYPE_CHECKING:
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

LIST = "/api/webhooks/"
URL = "https://hooks.example.org/b"


@pytest.fixture
def client() -> APIClient:
    user = User.objects.create_user("operator")
    user.user_permissions.add(
        *Permission.objects.filter(content_type__model__in=["webhookendpoint", "delivery"]),
    )
    return with_token(user)


def added(client: APIClient) -> dict[str, Any]:
    response = client.post(LIST, {"url": URL})
    assert response.status_code == 201, response.content
    endpoint: dict[str, Any] = response.json()
    return endpoint


def delivery(endpoint_id: int, number: int = 1) -> Delivery:
    """Return a delivery that was given up."""
    event = OutboxEvent.objects.create(kind="video.failed", video_id=uuid.uuid4(), sequence=number, payload={})
    return Delivery.objects.create(
        event=event,
        channel="webhook",
        endpoint_id=endpoint_id,
        target=f"webhook-{endpoint_id}",
        video_id=event.video_id,
        state="GIVEN_UP",
        next_try_at=None,
        ended_at=Now(),
        error="status 500",
    )


def test_secret_is_shown_once_when_an_endpoint_is_added(client: APIClient) -> None:
    endpoint = added(client)
    row = WebhookEndpoint.objects.get()
    assert signing_secrets(row) == [endpoint["secret"]]
    assert (endpoint["kinds"], endpoint["enabled"]) == ([each.value for each in OutboxKind], True)
    for url in (LIST, f"{LIST}{row.pk}/"):
        shown = client.get(url)
        assert URL in shown.content.decode()
        assert "whsec_" not in shown.content.decode()
        assert row.secret not in shown.content.decode()
        assert shown["Cache-Control"] == "no-store"


def test_both_secrets_are_valid_when_one_is_rotated(client: APIClient) -> None:
    endpoint = added(client)
    rotated = client.post(f"{LIST}{endpoint['id']}/secret/")
    assert signing_secrets(WebhookEndpoint.objects.get()) == [rotated.json()["secret"], endpoint["secret"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "http://hooks.example.org/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://user@hooks.example.org/"}, "url"),
        ({"url": "https://hooks.example.org:22/"}, "url"),
        ({"url": URL, "kinds": []}, "kinds"),
        ({"url": URL, "kinds": ["video.other"]}, "kinds.0"),
        ({"url": URL, "enabled": "yes"}, "enabled"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
        ({"url": URL, "failures": 0}, "failures"),
    ],
)
def test_endpoint_is_refused_when_a_value_is_not_valid(body: dict[str, Any], field: str, client: APIClient) -> None:
    response = client.post(LIST, body)
    assert problem(response) == (400, "INVALID")
    assert [each["field"] for each in response.json()["errors"]] == [field]
    assert not WebhookEndpoint.objects.exists()


def test_failures_are_counted_from_the_start_when_an_endpoint_is_enabled_again(client: APIClient) -> None:
    endpoint = added(client)
    WebhookEndpoint.objects.update(enabled=False, failures=20, failing_since=Now(), disabled_at=Now())
    url = f"{LIST}{endpoint['id']}/"
    renamed = client.patch(url, {"description": "LMS"}).json()
    assert (renamed["description"], renamed["failures"], renamed["enabled"]) == ("LMS", 20, False)
    enabled = client.patch(url, {"enabled": True}).json()
    assert (enabled["failures"], enabled["failing_since"], enabled["disabled_at"]) == (0, None, None)
    assert signing_secrets(WebhookEndpoint.objects.get()) == [endpoint["secret"]]


def test_event_is_due_again_when_its_delivery_was_given_up(client: APIClient) -> None:
    endpoint = added(client)
    given_up = delivery(endpoint["id"])
    deliveries = f"{LIST}{endpoint['id']}/deliveries/"
    (listed,) = client.get(deliveries).json()["results"]
    assert (listed["state"], listed["error"], listed["kind"]) == ("GIVEN_UP", "status 500", "video.failed")
    assert listed["event"] == str(given_up.event.event_id)
    url = f"{deliveries}{given_up.pk}/send-again/"
    sent = client.post(url)
    assert (sent.status_code, sent.json()["state"], sent.json()["tries"]) == (202, "PENDING", 0)
    assert problem(client.post(url)) == (409, "DELIVERY_PENDING")


def test_deliveries_of_another_endpoint_are_hidden_when_its_url_is_used(client: APIClient) -> None:
    first, second = added(client), added(client)
    mine = delivery(first["id"])
    assert client.get(f"{LIST}{second['id']}/deliveries/").json()["results"] == []
    assert problem(client.post(f"{LIST}{second['id']}/deliveries/{mine.pk}/send-again/")) == (404, "NOT_FOUND")
    for number in (0, 10**18, 10**30):
        assert problem(client.get(f"{LIST}{number}/")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("permission", ["view_webhookendpoint", "change_webhookendpoint", "view_delivery"])
def test_one_permission_does_not_give_another_when_an_account_has_it(permission: str, client: APIClient) -> None:
    endpoint = added(client)
    given_up = delivery(endpoint["id"])
    user = User.objects.create_user("assistant")
    user.user_permissions.add(Permission.objects.get(codename=permission))
    assistant, url = with_token(user), f"{LIST}{endpoint['id']}/"
    may = {
        "view_webhookendpoint": assistant.get(url).status_code == 200,
        "change_webhookendpoint": assistant.patch(url, {"description": "x"}).status_code == 200,
        "view_delivery": assistant.get(f"{url}deliveries/").status_code == 200,
        "change_delivery": assistant.post(f"{url}deliveries/{given_up.pk}/send-again/").status_code == 202,
        "add_webhookendpoint": assistant.post(LIST, {"url": URL}).status_code == 201,
        "delete_webhookendpoint": assistant.delete(url).status_code == 204,
    }
    # Deliveries are below their endpoint, which must be visible too.
    assert {name for name, is_allowed in may.items() if is_allowed} == {permission} - {"view_delivery"}
