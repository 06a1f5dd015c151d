"""Mutations of the outbox: what is written, in which order it is delivered, and to whom webhooks may go."""

from __future__ import annotations

from tests.mutations.patch import Patch

_OUTBOX = "tests/database/services/test_outbox.py"
_DELIVERY = "tests/database/services/test_delivery.py"
_WEBHOOKS = "tests/database/services/test_webhook_delivery.py"
_ADDRESSES = "tests/unit/webhooks/test_webhook_addresses.py"
_REQUEST = "tests/unit/webhooks/test_webhook_request.py"

OUTBOX_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a publication is not written to the outbox",
        promise=18,
        file="tasks/services/state/transition.py",
        old="        announce_change(event, row)\n",
        new="        pass\n",
        tests=(f"{_OUTBOX}::test_video_is_playable_then_published_when_nothing_could_be_watched_before",),
    ),
    Patch(
        name="a file is playable with each of its jobs",
        promise=18,
        file="tasks/services/outbox/announce.py",
        old=" or known.exists():",
        new=":",
        tests=(f"{_OUTBOX}::test_video_is_playable_once_when_its_source_plays_directly",),
    ),
    Patch(
        name="later events do not wait for earlier ones of their video",
        promise=18,
        file="tasks/services/delivery/due.py",
        old="        Q(again=True) | ~Exists(earlier),\n",
        new="        Q(again=True) | Q(state=DeliveryState.PENDING),\n",
        tests=(f"{_DELIVERY}::test_other_videos_are_not_delayed_when_a_receiver_raises_for_one",),
    ),
    Patch(
        name="an event counts as delivered before it is sent",
        promise=18,
        file="tasks/services/delivery/due.py",
        old='        tries=F("tries") + 1,\n        next_try_at=Now() + timedelta(seconds=_HOLD_S),\n',
        new=(
            '        tries=F("tries") + 1,\n        state=DeliveryState.DELIVERED,\n        ended_at=Now(),\n'
            "        next_try_at=None,\n"
        ),
        tests=(f"{_DELIVERY}::test_event_is_delivered_again_with_its_id_when_the_tick_is_killed",),
    ),
    Patch(
        name="two ticks send the same try",
        promise=18,
        file="tasks/services/delivery/due.py",
        old="claimed = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries).update(",
        new="claimed = Delivery.objects.filter(pk=delivery.pk).update(",
        tests=(f"{_DELIVERY}::test_delivery_has_one_winner_when_two_ticks_claim_it",),
    ),
    Patch(
        name="an undelivered event expires",
        promise=18,
        file="tasks/services/delivery/expire.py",
        old="OutboxEvent.objects.filter(~Exists(waiting), created_at__lt=old, dispatched_at__isnull=False)",
        new="OutboxEvent.objects.filter(created_at__lt=old)",
        tests=(f"{_DELIVERY}::test_expired_events_are_removed_when_they_are_delivered",),
    ),
    Patch(
        name="an endpoint that hangs takes all connections",
        promise=18,
        file="tasks/services/delivery/to_endpoints.py",
        old="            if self._busy[delivery.endpoint_id] < self._conf.webhook_connections_per_endpoint:\n",
        new="            if delivery.endpoint_id:\n",
        tests=(f"{_WEBHOOKS}::test_other_endpoints_get_everything_when_three_of_them_hang",),
    ),
    Patch(
        name="the old secret ends at once",
        promise=18,
        file="tasks/services/delivery/endpoints.py",
        old="for each in (endpoint.secret, endpoint.old_secret) if each]",
        new="for each in (endpoint.secret,) if each]",
        tests=(f"{_WEBHOOKS}::test_both_secrets_are_valid_for_a_day_when_one_was_replaced",),
    ),
    Patch(
        name="webhooks go to private addresses",
        promise=18,
        file="tasks/webhooks/addresses.py",
        old="        check_address(address, host=target.host)\n",
        new="        pass\n",
        tests=(f"{_ADDRESSES}::test_no_connection_is_begun_when_a_name_has_a_private_or_reserved_address[10.0.0.1]",),
    ),
    Patch(
        name="an IPv4 address inside an IPv6 one is not recognised",
        promise=18,
        file="tasks/webhooks/addresses.py",
        old="            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)\n",
        new="            return ipaddress.IPv4Address(0x08080808)\n",
        tests=(
            f"{_ADDRESSES}::test_no_connection_is_begun_when_a_name_has_a_private_or_reserved_address[64:ff9b::10.0.0.1]",
        ),
    ),
    Patch(
        name="a webhook connects to the name instead of the checked address",
        promise=18,
        file="tasks/webhooks/request.py",
        old="    for address in addresses[:MAX_ADDRESSES]:\n",
        new="    for address in (resolve(target.host, target.port) if addresses else addresses):\n",
        tests=(f"{_ADDRESSES}::test_connection_is_begun_to_the_checked_address_when_it_is_public",),
    ),
    Patch(
        name="a certificate of any name is accepted",
        promise=18,
        file="tasks/webhooks/request.py",
        old="server_hostname=target.host,",
        new='server_hostname="hooks.example.org",',
        tests=(f"{_REQUEST}::test_certificate_is_checked_for_the_name_when_the_connection_goes_to_an_address",),
    ),
    Patch(
        name="a receiver that drips holds a connection",
        promise=18,
        file="tasks/webhooks/request.py",
        old="        self._timer.start()\n",
        new="        pass\n",
        tests=(
            f"{_REQUEST}::test_outcome_is_known_in_time_when_a_receiver_misbehaves[drips-None-TIMEOUT no response within 0.5 s]",
        ),
    ),
)
