"""Endpoints of webhooks and their deliveries, for people with the permissions of these models."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404
from django.utils.translation import gettext
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..lifecycle.errors import ConflictError
from ..lifecycle.states import DeliveryState, OutboxKind
from ..models import Delivery, WebhookEndpoint
from ..services.delivery.endpoints import (
    add_endpoint,
    change_endpoint,
    replace_secret,
    send_again,
    signing_secrets,
)
from ..webhooks.addresses import MAX_URL_CHARS, RefusedAddressError, check_url
from .endpoint import Endpoint
from .protocol.fields import Entered, Flag, Moment, Shown, Text, entered, paged, shown
from .protocol.once import once
from .protocol.pages import page_of
from .schema import KEY, PAGE, described


class WebhookShown(Shown):
    """An endpoint of webhooks."""

    id = serializers.IntegerField()
    url = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=[each.value for each in OutboxKind]))
    enabled = serializers.BooleanField()
    failures = serializers.IntegerField(help_text="Failures in a row.")
    failing_since = Moment(allow_null=True)
    disabled_at = Moment(allow_null=True, help_text="When the site disabled it.")
    disabled_reason = serializers.CharField(allow_blank=True)
    old_secret_until = Moment(allow_null=True, help_text="Until when the secret before is valid too.")
    created_at = Moment()


class NewWebhookShown(WebhookShown):
    """An endpoint with its secret, which is shown once."""

    secret = serializers.CharField()


class SecretShown(Shown):
    """A new secret, which is shown once. The old one stays valid for `webhook_old_secret_s`."""

    secret = serializers.CharField()


class WebhookEntered(Entered):
    """An endpoint of webhooks."""

    url = Text(max_length=MAX_URL_CHARS)
    description = Text(max_length=200, required=False, allow_blank=True)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=[each.value for each in OutboxKind]),
        min_length=1,
        max_length=len(OutboxKind),
        required=False,
        help_text="All of them by default.",
    )
    enabled = Flag(required=False)

    def validate_url(self, url: str) -> str:
        """Refuse URLs to which no webhook would be sent. Names are resolved at each request, and not here."""
        try:
            check_url(url)
        except RefusedAddressError as refusal:
            raise serializers.ValidationError(str(refusal)) from refusal
        return url


class DeliveryShown(Shown):
    """One event on its way to an endpoint."""

    id = serializers.IntegerField()
    event = serializers.UUIDField()
    kind = serializers.CharField()
    video = serializers.UUIDField()
    state = serializers.ChoiceField(choices=[each.value for each in DeliveryState])
    tries = serializers.IntegerField()
    next_try_at = Moment(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    duration_s = serializers.FloatField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    response = serializers.CharField(allow_blank=True, help_text="Beginning of the response's body.")
    created_at = Moment()
    ended_at = Moment(allow_null=True)


WebhookPage, DeliveryPage = paged(WebhookShown), paged(DeliveryShown)


class DeliveryPendingError(ConflictError):
    """The delivery has not ended, and is tried again anyway."""

    code = "DELIVERY_PENDING"


class WebhookView(Endpoint):
    """A view of endpoints."""

    tag = "webhooks"

    def endpoint(self, endpoint_id: int, verb: str) -> WebhookEndpoint:
        """Return the endpoint, for people with this permission of its model. Raises Http404."""
        self.require(f"batchreel.{verb}_webhookendpoint")
        found = WebhookEndpoint.objects.filter(pk=endpoint_id).first()
        if found is None:
            raise Http404
        return found


class Webhooks(WebhookView):
    """All endpoints."""

    @described("listWebhooks", parameters=PAGE, responses=WebhookPage)
    def get(self, request: Request) -> Response:
        """List the endpoints, newest first."""
        self.require("batchreel.view_webhookendpoint")
        page, links = page_of(request, WebhookEndpoint.objects.all())
        return Response({**links, "results": [shown(WebhookShown, each) for each in page]})

    @described("createWebhook", parameters=[KEY], request=WebhookEntered, responses={201: NewWebhookShown})
    def post(self, request: Request) -> Response:
        """Add an endpoint. The response has its secret, which cannot be read again."""
        self.require("batchreel.add_webhookendpoint")
        columns = {"kinds": [each.value for each in OutboxKind], **entered(WebhookEntered, request.data)}

        def create(_: uuid.UUID) -> Response:
            endpoint = add_endpoint(columns)
            return Response({**shown(WebhookShown, endpoint), "secret": signing_secrets(endpoint)[0]}, status=201)

        return once(request, create, in_one_transaction=True)


class OneWebhook(WebhookView):
    """One endpoint."""

    @described("readWebhook", responses=WebhookShown)
    def get(self, request: Request, endpoint_id: int) -> Response:
        """Read an endpoint."""
        return Response(shown(WebhookShown, self.endpoint(endpoint_id, "view")))

    @described("changeWebhook", request=WebhookEntered, responses=WebhookShown)
    def patch(self, request: Request, endpoint_id: int) -> Response:
        """Change an endpoint. One that is enabled again gets a new count of failures."""
        endpoint = self.endpoint(endpoint_id, "change")
        change_endpoint(endpoint.pk, entered(WebhookEntered, request.data, partial=True))
        return Response(shown(WebhookShown, self.endpoint(endpoint_id, "change")))

    @described("deleteWebhook", responses={204: None})
    def delete(self, request: Request, endpoint_id: int) -> Response:
        """Delete an endpoint and its deliveries."""
        self.endpoint(endpoint_id, "delete").delete()
        return Response(status=204)


class Secret(WebhookView):
    """The secret of an endpoint."""

    @described("rotateWebhookSecret", parameters=[KEY], responses=SecretShown)
    def post(self, request: Request, endpoint_id: int) -> Response:
        """Replace the secret. The old one stays valid for `webhook_old_secret_s`."""
        endpoint = self.endpoint(endpoint_id, "change")

        def create(_: uuid.UUID) -> Response:
            return Response({"secret": replace_secret(endpoint_id=endpoint.pk)})

        return once(request, create, in_one_transaction=True)


class Deliveries(WebhookView):
    """The deliveries to an endpoint."""

    @described("listDeliveries", parameters=PAGE, responses=DeliveryPage)
    def get(self, request: Request, endpoint_id: int) -> Response:
        """List the deliveries to an endpoint, newest first."""
        self.require("batchreel.view_delivery")
        rows = Delivery.objects.select_related("event").filter(endpoint=self.endpoint(endpoint_id, "view"))
        page, links = page_of(request, rows)
        return Response({**links, "results": [_shown(each) for each in page]})


class SendAgain(WebhookView):
    """One delivery."""

    @described("sendAgain", parameters=[KEY], responses={202: DeliveryShown})
    def post(self, request: Request, endpoint_id: int, delivery_id: int) -> Response:
        """Deliver an event again, with the same id. 409 `DELIVERY_PENDING` while it is on its way."""
        self.require("batchreel.change_delivery")
        rows = Delivery.objects.select_related("event").filter(
            pk=delivery_id, endpoint=self.endpoint(endpoint_id, "view")
        )
        if not rows.exists():
            raise Http404

        def create(_: uuid.UUID) -> Response:
            if not send_again(delivery_id=delivery_id):
                message = gettext("It has not ended yet, and is tried again anyway.")
                raise DeliveryPendingError(message)
            return Response(_shown(rows.get()), status=202)

        return once(request, create, in_one_transaction=True)


def _shown(delivery: Delivery) -> dict[str, Any]:
    names = ("id", "state", "tries", "next_try_at", "status_code", "duration_s", "error", "response", "created_at")
    values = {name: getattr(delivery, name) for name in (*names, "ended_at")}
    event = {"event": delivery.event.event_id, "kind": delivery.event.kind, "video": delivery.video_id}
    return shown(DeliveryShown, values | event)
