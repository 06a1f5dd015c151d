"""Settings of a site whose own Celery tasks need what would harm ours, and which chose another scheduler.

Only Batchreel's own options can protect its tasks here.
"""

from __future__ import annotations

from project.settings import *  # noqa: F403 - the programs of the tests need all the rest
from project.settings import BATCHREEL, CELERY_BROKER_TRANSPORT_OPTIONS, INSTALLED_APPS
from tasks.schedule import beat_schedule

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "django_celery_beat"]
USE_TZ = False
TIME_ZONE = "Asia/Seoul"

CELERY_RESULT_BACKEND = "redis://127.0.0.1:1/0"  # nothing listens there
CELERY_TASK_IGNORE_RESULT = False
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT = False
CELERY_TASK_SOFT_TIME_LIMIT = None
CELERY_TASK_TIME_LIMIT = 1800
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_QUEUES = None
CELERY_TASK_ROUTES = {"*": {"queue": "celery"}}
CELERY_TASK_SERIALIZER = "yaml"
CELERY_ACCEPT_CONTENT = ["yaml"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_TIMEZONE = "Asia/Seoul"
# Shorter than a tick may take, so a message is delivered again while its task runs.
CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "visibility_timeout": 5}
CELERY_BEAT_SCHEDULER = "celery.beat:PersistentScheduler"
CELERY_BEAT_SCHEDULE = beat_schedule(BATCHREEL)
