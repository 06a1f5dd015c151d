"""Events reach signals and mail at least once, in the order of each video, whatever raises or dies."""

from __future__ import annotations

import smtplib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMessage
from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now
from pytest_django import Settings

from tasks import signals
from tasks.lifecycle.retry import FIRST_RETRY_S, LAST_RETRY_S, retry_delay_s
from tasks.lifecycle.states import Channel, OutboxKind
from tasks.models import Delivery, OutboxEvent, Video
from tasks.services.delivery import due as due_module
from tasks.services.delivery.due import claim, due
from tasks.services.delivery.expire import expire_outbox
from tasks.services.delivery.fan_out import fan_out
from tasks.services.delivery.run import deliver
from tasks.services.outbox import announce
from tasks.services.outbox.announce import announce_deletion
from tests.factories import published, uploaded_video

pytestmark = pytest.mark.django_db

Received = list[tuple[str, uuid.UUID, uuid.UUID]]


@pytest.fixture
def connect() -> Iterator[Callable[..., None]]:
    """Connect a receiver to signals until the test ends."""
    connected: list[tuple[Any, Any]] = []

    def connect(receiver: Any, *to: Any) -> None:
        for signal in to:
            signal.connect(receiver)
            connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


@pytest.fixture
def received(connect: Callable[..., None]) -> Received:
    """Return what a receiver of all signals got."""
    got: Received = []

    def receive(*, signal: Any, sender: Any, video_id: uuid.UUID, event_id: uuid.UUID, payload: Any, **_: Any) -> None:
        assert sender is Video
        assert payload["video_id"] == str(video_id)
        names = {id(getattr(signals, name)): name for name in vars(signals) if name.startswith("video_")}
        got.append((names[id(signal)], video_id, event_id))

    connect(receive, signals.video_playable, signals.video_published, signals.video_failed, signals.video_deleted)
    return got


def time_passes(seconds: float) -> None:
    """Move all times of deliveries and events into the past."""
    past = timedelta(seconds=seconds)
    Delivery.objects.update(
        next_try_at=F("next_try_at") - past, give_up_at=F("give_up_at") - past, created_at=F("created_at") - past
    )
    OutboxEvent.objects.update(created_at=F("created_at") - past)


def written(video_id: uuid.UUID, *, number: int = 1) -> None:
    for _ in range(number):
        with transaction.atomic():
            announce_deletion(video_id)


def states() -> list[tuple[str, str, int]]:
    return list(Delivery.objects.order_by("id").values_list("target", "state", "tries"))


def test_receivers_get_events_in_order_when_a_video_is_published_and_deleted(received: Received) -> None:
    video = published()
    video_id = video.pk
    deliver()
    video.delete()
    deliver()
    deliver()
    names = [name for name, _, _ in received]
    assert names == ["video_playable", "video_published", "video_deleted"]
    assert {each for _, each, _ in received} == {video_id}
    assert [event_id for _, _, event_id in received] == list(
        OutboxEvent.objects.order_by("id").values_list("event_id", flat=True)
    )
    assert states() == [("signal", "DELIVERED", 1)] * 3


def test_nothing_is_sent_when_the_transaction_was_rolled_back(received: Received) -> None:
    class CrashError(Exception):
        pass

    def write_and_crash() -> None:
        with transaction.atomic():
            announce_deletion(uuid.uuid4())
            raise CrashError

    with pytest.raises(CrashError):
        write_and_crash()
    deliver()
    assert received == []


def test_other_videos_are_not_delayed_when_a_receiver_raises_for_one(connect: Callable[..., None]) -> None:
    bad, good, got = uuid.uuid4(), uuid.uuid4(), []

    def receive(*, video_id: uuid.UUID, event_id: uuid.UUID, **_: Any) -> None:
        got.append((video_id, event_id))
        if video_id == bad and len([each for each in got if each[0] == bad]) <= 2:
            message = "the host's\nfault\0"
            raise ValueError(message)

    connect(receive, signals.video_deleted)
    written(bad, number=2)
    written(good, number=2)
    deliver()
    assert [each for each, _ in got] == [bad, good, good]
    failed = Delivery.objects.filter(video_id=bad).earliest("id")
    assert failed.state == "PENDING"
    assert failed.error.endswith("receive: ValueError: the host's fault")
    assert failed.next_try_at is not None
    deliver()
    assert len(got) == 3
    time_passes(1.1 * FIRST_RETRY_S)
    deliver()
    time_passes(1.1 * 3 * FIRST_RETRY_S)
    deliver()
    assert [each for each, _ in got] == [bad, good, good, bad, bad, bad]
    first, second = OutboxEvent.objects.filter(video_id=bad).order_by("id").values_list("event_id", flat=True)
    assert [event_id for each, event_id in got if each == bad] == [first, first, first, second]
    assert not Delivery.objects.exclude(state="DELIVERED").exists()


def test_event_is_delivered_again_with_its_id_when_the_tick_is_killed(
    connect: Callable[..., None], received: Received
) -> None:
    class KilledError(BaseException):
        pass

    def killed(**_: Any) -> None:
        raise KilledError

    published()
    connect(killed, signals.video_published)
    with pytest.raises(KilledError):
        deliver()
    signals.video_published.disconnect(killed)
    deliver()
    assert [name for name, _, _ in received] == ["video_playable", "video_published"]
    assert states() == [("signal", "DELIVERED", 1), ("signal", "PENDING", 1)]
    time_passes(61)
    deliver()
    got = [event_id for name, _, event_id in received if name == "video_published"]
    assert len(got) == 2
    assert len(set(got)) == 1
    assert states() == [("signal", "DELIVERED", 1), ("signal", "DELIVERED", 2)]


def test_event_is_delivered_again_when_the_database_is_lost_after_it(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise OperationalError

    written(uuid.uuid4())
    with monkeypatch.context() as patched:
        patched.setattr("tasks.services.delivery.to_receivers.record", lost)
        with pytest.raises(OperationalError):
            deliver()
    time_passes(61)
    deliver()
    assert len(received) == 2
    assert len({event_id for _, _, event_id in received}) == 1


def test_delivery_has_one_winner_when_two_ticks_claim_it() -> None:
    written(uuid.uuid4())
    fan_out()
    (first,) = due(Channel.SIGNAL, limit=10)
    (second,) = due(Channel.SIGNAL, limit=10)
    assert claim(first)
    assert not claim(second)
    assert due(Channel.SIGNAL, limit=10) == []


def test_delivery_is_given_up_when_it_fails_for_a_day(
    connect: Callable[..., None], caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    tried = []

    def receive(*, event_id: uuid.UUID, **_: Any) -> None:
        tried.append(event_id)
        raise RuntimeError

    connect(receive, signals.video_deleted)
    written(uuid.uuid4())
    hours = 0.0
    with django_capture_on_commit_callbacks(execute=True):
        while hours < 24:
            deliver()
            time_passes(600)
            hours += 1 / 6
        assert Delivery.objects.get().state == "GIVEN_UP"
    assert 15 <= len(tried) <= 25
    assert "DELIVERY_GIVEN_UP signal of event" in caplog.text


def test_retries_grow_to_hours_when_deliveries_keep_failing() -> None:
    delays_s = [retry_delay_s(tries) for tries in (1, 2, 3, 4, 9, 1000)]
    assert all(low <= each <= 1.1 * low for each, low in zip(delays_s, (5, 15, 45, 135, 7200, 7200), strict=True))
    assert LAST_RETRY_S == 7200


def test_expired_events_are_removed_when_they_are_delivered(received: Received) -> None:
    video_id = uuid.uuid4()
    written(video_id, number=2)
    deliver()
    written(video_id)
    time_passes(31 * 86400)
    assert expire_outbox(until_s=time.monotonic() + 5) == 2
    assert list(OutboxEvent.objects.values_list("sequence", flat=True)) == [3]
    deliver()
    assert expire_outbox(until_s=time.monotonic() + 5) == 1
    written(video_id)
    assert list(OutboxEvent.objects.values_list("sequence", flat=True)) == [4]
    assert len(received) == 3


def test_later_events_are_dispatched_after_earlier_ones_when_there_are_many(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.services.delivery.fan_out._LIMIT", 3)
    video_ids = [uuid.uuid4() for _ in range(4)]
    for _ in range(3):
        for video_id in video_ids:
            written(video_id)
    deliver()
    assert len(received) == 12
    order = {event_id: place for place, (_, _, event_id) in enumerate(received)}
    for video_id in video_ids:
        rows = OutboxEvent.objects.filter(video_id=video_id).order_by("sequence")
        places = [order[event_id] for event_id in rows.values_list("event_id", flat=True)]
        assert places == sorted(places)


class TestMail:
    @pytest.fixture(autouse=True)
    def _on(self, settings: Settings) -> None:
        settings.BATCHREEL = {
            "mail_kinds": ["video.playable", "video.failed"],
            "mail_base_url": "https://videos.example.org/",
        }

    @pytest.fixture
    def video(self) -> Video:
        owner = User.objects.create_user("ada", email="ada@example.org")
        video = uploaded_video(title="Lecture\n1 & <2>")
        Video.objects.filter(pk=video.pk).update(owner=owner)
        return video

    def test_owner_gets_one_mail_when_the_video_can_be_watched(self, video: Video) -> None:
        published(video)
        deliver()
        deliver()
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["ada@example.org"], "Ready to watch: Lecture 1 & <2>")
        assert f"https://videos.example.org/videos/{video.pk}/" in sent.body
        assert "& <2>" in sent.body
        event = OutboxEvent.objects.get(kind="video.playable")
        assert sent.extra_headers["Message-ID"].startswith(f"<{event.event_id}@")

    def test_owner_reads_the_reason_when_the_video_failed(self, video: Video) -> None:
        with transaction.atomic():
            announce._append(
                OutboxKind.FAILED,
                video.pk,
                job=None,
                data={"reason": "NOT_A_VIDEO", "message": "This is a text.", "older_version_is_published": True},
            )
        deliver()
        (sent,) = mail.outbox
        assert sent.subject == "Not processed: Lecture 1 & <2>"
        assert "This is a text." in sent.body
        assert "version before can still be watched" in sent.body

    def test_no_mail_is_sent_when_the_site_did_not_ask_for_it(self, video: Video, settings: Settings) -> None:
        settings.BATCHREEL = {}
        published(video)
        deliver()
        assert mail.outbox == []

    def test_no_mail_is_sent_when_nobody_owns_the_video_any_more(self, video: Video) -> None:
        published(video)
        User.objects.all().delete()
        deliver()
        assert mail.outbox == []
        assert Delivery.objects.get(channel="mail").response == "no recipient"

    def test_mail_has_the_same_id_when_the_server_failed_before(
        self, video: Video, monkeypatch: pytest.MonkeyPatch, received: Received
    ) -> None:
        published(video)
        real, ids = EmailMessage.send, []

        def send(message: Any) -> int:
            ids.append(message.extra_headers["Message-ID"])
            if len(ids) == 1:
                raise smtplib.SMTPServerDisconnected
            return int(real(message))

        monkeypatch.setattr(EmailMessage, "send", send)
        deliver()
        assert len(received) == 2, "signals do not wait for mail"
        assert mail.outbox == []
        time_passes(6)
        deliver()
        assert len(mail.outbox) == 1
        assert len(ids) == 2
        assert len(set(ids)) == 1


def test_claim_outlasts_a_tick_when_it_is_not_recorded() -> None:
    assert due_module._HOLD_S > 25
    written(uuid.uuid4())
    fan_out()
    (delivery,) = due(Channel.SIGNAL, limit=1)
    claim(delivery)
    assert Delivery.objects.filter(next_try_at__gt=Now() + timedelta(seconds=50)).exists()
