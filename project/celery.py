"""The Celery application: `celery -A project worker`, `celery -A project beat`, `celery -A project flower`."""

from __future__ import annotations

import os

from celery import Celery
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("batchreel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Without this, a thread that did not import this module, such as a web server's, gets Celery's
# fallback app, which has no broker configured.
app.set_default()


@app.task(name="project.clear_sessions")
def clear_sessions() -> None:
    """Delete the expired sessions. Django leaves that to the site."""
    call_command("clearsessions")
