"""The outbox in the admin: its events, and the log of their deliveries, each of which can be sent again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import DeliveryState
from ..models import Delivery, OutboxEvent
from ..services.delivery.endpoints import send_again
from .actions import for_each
from .page_actions import PageActions
from .widgets import ReadOnlyAdmin, ReadOnlyInline, badge, page_link, precise

_RESULT = ("tries", "status_code", "duration_s", "error")


class DeliveriesOfEvent(ReadOnlyInline):
    """The event's deliveries."""

    model = Delivery
    fields = readonly_fields = ("delivery", "state", *_RESULT, precise(Delivery, "ended_at"))

    @admin.display(description=_("delivery"))
    def delivery(self, delivery: Delivery) -> SafeString:
        """Return a link to the delivery."""
        return page_link("delivery", delivery.pk, delivery.target)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """What the site reports to the outside."""

    list_display = ("created_at", "kind", "video_id", "sequence", "event_id", "dispatched_at")
    search_fields = ("video_id", "event_id")
    inlines = (DeliveriesOfEvent,)


@admin.register(Delivery)
class DeliveryAdmin(PageActions, ReadOnlyAdmin):
    """The log of deliveries, with the result of each one's last try."""

    list_display = ("state_badge", "kind", "target", *_RESULT, "created_at", "next_try_at")
    list_display_links = ("kind",)
    list_filter = ("state", "channel", "endpoint")
    list_select_related = ("event",)
    search_fields = ("video_id", "event__event_id")
    actions = ("send_again",)
    action_form = ActionForm
    fields = readonly_fields = (
        *("event", "target", "video_id", "state_badge", "again", *_RESULT, "response"),
        *("created_at", "next_try_at", "give_up_at", "ended_at"),
    )

    def possible_actions(self, row: Delivery) -> frozenset[str]:
        """Return the action if the delivery has ended: another one is tried again anyway."""
        return frozenset({"send_again"} if row.state != DeliveryState.PENDING else ())

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run the actions."""
        return request.user.has_perm("batchreel.change_delivery")

    @admin.display(description=_("kind"))
    def kind(self, delivery: Delivery) -> str:
        """Return the kind of the event."""
        return delivery.event.kind

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, delivery: Delivery) -> SafeString:
        """Return the state as a coloured badge."""
        return badge(delivery.state)

    @admin.action(description=_("Send again (with the same event id)"), permissions=["operate"])
    def send_again(self, request: HttpRequest, deliveries: QuerySet[Any]) -> None:
        """Deliver each event again."""

        def act(delivery: Delivery) -> str | None:
            return (
                None
                if send_again(delivery_id=delivery.pk)
                else gettext("It has not ended yet, and is tried again anyway.")
            )

        for_each(self, request, deliveries, act, success_label=_("Deliveries requested"))
