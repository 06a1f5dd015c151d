"""Delivery to the owner of a video: mail, if the site has turned it on."""

from __future__ import annotations

import time
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.utils import DNS_NAME
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import override

from ...conf import bridge_settings
from ...lifecycle.states import Channel, OutboxKind
from ...models import Delivery, OutboxEvent, Video
from ...texts.stored import job_message
from .due import claimed, record

MAIL_KINDS = (OutboxKind.PLAYABLE.value, OutboxKind.FAILED.value)
"""Events for which there is a mail: templates/batchreel/mail/ has its subject and its text."""

_PAGE = 20


def send_mails(*, until_s: float) -> int:
    """Send due mails until the monotonic clock reaches `until_s`, and return their number.

    A server that fails once is not asked again in this run.
    """
    sent = 0
    for delivery in claimed(Channel.MAIL, page=_PAGE, until_s=until_s):
        if not _send(delivery):
            break
        sent += 1
    return sent


def _send(delivery: Delivery) -> bool:
    """Send the mail, and record how that ended. A video or owner that is gone needs none, nor one without address."""
    started_s, error = time.monotonic(), ""
    mail = _mail(delivery.event)
    if mail is not None:
        try:
            mail.send()
        except (OSError, SMTPException, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
    record(
        delivery,
        error=error,
        duration_s=time.monotonic() - started_s,
        response="sent" if mail and not error else "no recipient" if mail is None else "",
    )
    return not error


def _mail(event: OutboxEvent) -> EmailMessage | None:
    video = Video.objects.select_related("owner").filter(pk=event.video_id, deleted_at=None).first()
    address = getattr(video.owner, video.owner.get_email_field_name(), "") if video and video.owner else ""
    if video is None or not address:
        return None
    base_url = bridge_settings().mail_base_url.rstrip("/")
    name = event.kind.removeprefix("video.")
    context = {
        "video": video,
        "payload": event.payload,
        "url": f"{base_url}{reverse('batchreel:video', args=[video.pk])}" if base_url else "",
    }
    # The language of an owner is not known.
    with override(settings.LANGUAGE_CODE):
        context["reason"] = job_message(
            event.payload.get("message", ""), event.payload.get("details"), event.payload.get("reason", "")
        )
        subject = " ".join(render_to_string(f"batchreel/mail/{name}_subject.txt", context).split())
        body = render_to_string(f"batchreel/mail/{name}.txt", context)
    return EmailMessage(
        subject,
        body,
        to=[address],
        # If a crash or a lost response repeats the mail, mail systems recognise it by this id.
        headers={"Message-ID": f"<{event.event_id}@{DNS_NAME}>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=settings.EMAIL_TIMEOUT or bridge_settings().webhook_timeout_s),
    )
