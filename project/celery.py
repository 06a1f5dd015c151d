"""The Celery application: `celery -A project worker`, `celery -A project beat`, `celery -A project flower`."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("batchreel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# In a thread that did not import this module, such as a web server's, Celery otherwise makes up an app that knows no broker of ours.
app.set_default()

from project import worker_exit  # noqa: E402, F401 - connects to a signal, and needs the settings
