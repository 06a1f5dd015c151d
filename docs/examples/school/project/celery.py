"""The site's Celery application: `celery -A project worker`, and `celery -A project beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("school", include=["tasks.reports"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()  # for the school's own tasks: otherwise the threads of a web server use an application without a broker
