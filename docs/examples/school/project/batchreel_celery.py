"""Batchreel's Celery application.

celery -A project.batchreel_celery worker -Q submit,observe,maintain
celery -A project.batchreel_celery beat
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("batchreel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["batchreel"])
app.set_default()  # otherwise the threads of a web server use an application without a broker
