"""Endpoints and deliveries in the admin: what people may enter, and that a secret is shown once."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tasks.models import Delivery, WebhookEndpoint
from tasks.services.delivery.endpoints import signing_secrets
from tasks.services.delivery.run import deliver
from tasks.services.outbox.announce import announce_deletion

pytestmark = pytest.mark.django_db

FORM = {"url": "https://hooks.example.org/b", "description": "LMS", "kinds": ["video.published"], "enabled": "on"}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
ADD, CHANGELIST = "admin:batchreel_webhookendpoint_add", "admin:batchreel_webhookendpoint_changelist"


def added(staff: Client) -> tuple[WebhookEndpoint, str]:
    response = staff.post(reverse(ADD), FORM)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    (secret,) = SECRET.findall(response.content.decode())
    return WebhookEndpoint.objects.get(), secret


def change(made: WebhookEndpoint) -> str:
    return reverse("admin:batchreel_webhookendpoint_change", args=[made.pk])


def test_secret_is_shown_once_when_an_endpoint_is_added(staff: Client) -> None:
    made, secret = added(staff)
    assert signing_secrets(made) == [secret]
    assert (made.url, made.kinds, made.enabled) == ("https://hooks.example.org/b", ["video.published"], True)
    for page in (change(made), reverse(CHANGELIST)):
        shown = staff.get(page).content.decode()
        assert made.url in shown
        assert not SECRET.search(shown)
        assert made.secret not in shown


def test_both_secrets_stay_when_one_is_replaced_and_the_form_is_saved(staff: Client) -> None:
    made, old = added(staff)
    response = staff.post(
        reverse(CHANGELIST), {"action": "replace_secret", "_selected_action": made.pk, "_from_page": "1"}
    )
    (new,) = SECRET.findall(response.content.decode())
    assert "no-store" in response["Cache-Control"]
    assert staff.post(change(made), {**FORM, "description": "other"}).status_code == 302
    made.refresh_from_db()
    assert signing_secrets(made) == [new, old]
    assert made.description == "other"


def test_failures_start_over_when_an_endpoint_is_enabled_again(staff: Client) -> None:
    made, _ = added(staff)
    WebhookEndpoint.objects.update(enabled=False, failures=30, disabled_reason="STATUS 500")
    staff.post(change(made), FORM)
    made.refresh_from_db()
    assert (made.enabled, made.failures, made.disabled_reason) == (True, 0, "")


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.org/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/"),
        *("https://user:secret@hooks.example.org/", "https://hooks.example.org:22/", "javascript:alert(1)", "x"),
    ],
)
def test_url_is_refused_with_a_reason_when_no_webhook_would_be_sent_to_it(staff: Client, url: str) -> None:
    response = staff.post(reverse(ADD), {**FORM, "url": url})
    assert "errorlist" in response.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_endpoint_needs_an_event_when_it_is_added(staff: Client) -> None:
    assert "errorlist" in staff.post(reverse(ADD), {**FORM, "kinds": []}).content.decode()
    assert "errorlist" in staff.post(reverse(ADD), {**FORM, "kinds": ["video.other"]}).content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_secret_is_not_replaced_when_the_user_may_only_view(client: Client, staff: Client) -> None:
    made, secret = added(staff)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(
        *Permission.objects.filter(codename__in=["view_webhookendpoint", "view_delivery", "view_outboxevent"])
    )
    client.force_login(viewer)
    client.post(reverse(CHANGELIST), {"action": "replace_secret", "_selected_action": made.pk})
    made.refresh_from_db()
    assert signing_secrets(made) == [secret]
    assert client.get(change(made)).status_code == 200
    with transaction.atomic():
        announce_deletion(uuid.uuid4())
    deliver()
    ended = Delivery.objects.get()
    client.post(reverse("admin:batchreel_delivery_changelist"), {"action": "send_again", "_selected_action": ended.pk})
    assert Delivery.objects.get().state == "DELIVERED"


def test_delivery_is_due_again_when_an_operator_sends_it_again(staff: Client, settings: Settings) -> None:
    with transaction.atomic():
        announce_deletion(uuid.uuid4())
    deliver()
    ended = Delivery.objects.get()
    pages = (
        reverse("admin:batchreel_delivery_changelist"),
        reverse("admin:batchreel_delivery_change", args=[ended.pk]),
        reverse("admin:batchreel_outboxevent_changelist"),
        reverse("admin:batchreel_outboxevent_change", args=[ended.event_id]),
    )
    for page in pages:
        assert "video.deleted" in staff.get(page).content.decode()
    form = {"action": "send_again", "_selected_action": ended.pk, "_from_page": "1"}
    response = staff.post(pages[0], form, follow=True)
    assert "Deliveries requested: 1." in response.content.decode()
    assert Delivery.objects.get().state == "PENDING"
    assert "has not ended yet" in staff.post(pages[0], form, follow=True).content.decode()
