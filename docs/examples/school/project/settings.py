"""Settings of a school's site. Only the two sections named Batchreel are about videos."""

from pathlib import Path

import environ
from batchreel.broker import redis_broker
from batchreel.schedule.ticks import QUEUES, ROUTES, SUBMIT

BASE_DIR = Path(__file__).resolve().parents[1]
env = environ.Env()

SECRET_KEY = env.str("SECRET_KEY", default="")
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
ROOT_URLCONF = "project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = [
    "people",
    "courses",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "people.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"

# PostgreSQL: postgres://user:password@host:5432/name
DATABASES = {"default": env.db_url_config(env.str("DATABASE_URL", default="") or "postgres:///school")}

# The containers read and write the same files: on AWS, the default storage is a bucket (docs/integration.md).
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(BASE_DIR / "media"))
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

# The school's own Celery tasks, in `tasks`: they take up to half an hour, return results, and one is periodic.
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
SCHOOL_CELERY_BROKER_URL = REDIS_URL
SCHOOL_CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "school:", "visibility_timeout": 7200}
SCHOOL_CELERY_RESULT_BACKEND = REDIS_URL
SCHOOL_CELERY_TASK_TIME_LIMIT = 1800
SCHOOL_CELERY_BEAT_SCHEDULE = {"weekly report": {"task": "tasks.reports.weekly_report", "schedule": 7 * 86_400}}

# Batchreel.
INSTALLED_APPS += ["django_celery_beat", "batchreel"]
MIDDLEWARE.insert(5, "batchreel.views.body_limit.BodyLimitMiddleware")  # after AuthenticationMiddleware
VIDEO_BATCH_JOB_QUEUE = env.str("VIDEO_BATCH_JOB_QUEUE", default="")
VIDEO_BATCH_JOB_DEFINITION = env.str("VIDEO_BATCH_JOB_DEFINITION", default="")
BATCHREEL = env.json("BATCHREEL", default={})

# Batchreel's Celery application (project/batchreel_celery.py): what `manage.py check` asks for.
broker = redis_broker(REDIS_URL)
CELERY_BROKER_URL = broker.url
CELERY_BROKER_USE_SSL = broker.use_ssl
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "batchreel:",
    "visibility_timeout": 120,
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    **broker.transport_options,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SOFT_TIME_LIMIT = 20
CELERY_TASK_TIME_LIMIT = 25
CELERY_TASK_DEFAULT_QUEUE = SUBMIT.queue
CELERY_TASK_QUEUES = {name: {"exchange": name, "routing_key": name} for name in QUEUES}
CELERY_TASK_ROUTES = ROUTES
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
