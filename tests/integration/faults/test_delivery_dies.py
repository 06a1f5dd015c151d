"""A tick that is killed while it delivers, and a database that is lost between delivery and record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F

from tasks.models import Delivery, OutboxEvent, WebhookEndpoint
from tasks.services.delivery.endpoints import give_first_secret
from tasks.services.outbox.announce import announce_deletion
from tests.polling import wait_for
from tests.webhook_receivers import allowing_loopback, answers, hangs, receiving

pytestmark = pytest.mark.django_db(transaction=True)

DELIVER = "import django; django.setup(); from tasks.services.delivery.run import deliver; deliver()"


def delivering(environment: dict[str, str], **bridge: object) -> subprocess.Popen[bytes]:
    """Start a process that runs one deliver tick."""
    variables = {"DJANGO_SETTINGS_MODULE": "project.settings", "BATCHREEL": json.dumps(allowing_loopback(**bridge))}
    return subprocess.Popen(
        [sys.executable, "-c", DELIVER], cwd=settings.BASE_DIR, env={**environment, **variables}, start_new_session=True
    )


def test_every_event_arrives_in_order_when_the_process_is_killed_while_it_delivers(
    program_environment: dict[str, str],
) -> None:
    video_ids = [uuid.uuid4() for _ in range(3)]
    with receiving(hangs) as receiver:
        endpoint = WebhookEndpoint(url=receiver.url, kinds=["video.deleted"])
        give_first_secret(endpoint)
        endpoint.save()
        for video_id in video_ids * 2:
            with transaction.atomic():
                announce_deletion(video_id)
        process = delivering(program_environment, webhook_timeout_s=60)
        try:
            wait_for(lambda: len(receiver.requests) == 3, what="three webhooks under way")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert set(Delivery.objects.filter(channel="webhook").values_list("state", flat=True)) == {"PENDING"}
        receiver.behave = answers("200 OK")
        assert delivering(program_environment).wait(timeout=60) == 0
        assert len(receiver.requests) == 3, "what was under way is not due for a minute"
        Delivery.objects.filter(state="PENDING").update(next_try_at=F("next_try_at") - timedelta(seconds=61))
        assert delivering(program_environment).wait(timeout=60) == 0
        forms = [json.loads(body) for _, body in receiver.requests]
    assert not Delivery.objects.exclude(state="DELIVERED").exists()
    ids = {(str(each.video_id), each.sequence): str(each.event_id) for each in OutboxEvent.objects.all()}
    for video_id in map(str, video_ids):
        received = [form["sequence"] for form in forms if form["data"]["video_id"] == video_id]
        assert received == [1, 1, 2]
        assert {form["id"] for form in forms if form["data"]["video_id"] == video_id} == {
            ids[video_id, 1],
            ids[video_id, 2],
        }
