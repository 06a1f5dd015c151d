"""The school's own Celery application: `celery -A project.celery:app worker`, and `beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

# Batchreel's application stays the current one, so that its wake-ups are sent to its own queues.
app = Celery("school", set_as_current=False, include=["tasks.reports"])
app.config_from_object("django.conf:settings", namespace="SCHOOL_CELERY")
