"""Settings of a school's site. Only the last two sections are about videos."""

from pathlib import Path

import environ
from batchreel.schedule import beat_schedule

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
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "courses.backends.EnrolledBackend"]
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
CELERY_BROKER_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "school:",
    "visibility_timeout": 7200,
    "socket_connect_timeout": 5,
    "socket_timeout": 5,
}
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_TASK_TIME_LIMIT = 1800

# Batchreel.
INSTALLED_APPS += ["batchreel"]
MIDDLEWARE.insert(5, "batchreel.views.body_limit.BodyLimitMiddleware")  # after AuthenticationMiddleware
BATCHREEL = {
    "job_queue": env.str("VIDEO_BATCH_JOB_QUEUE", default=""),
    "job_definition": env.str("VIDEO_BATCH_JOB_DEFINITION", default=""),
    **env.json("BATCHREEL", default={}),
}

# What is periodic: the school's report, and Batchreel's ticks.
CELERY_BEAT_SCHEDULE = {
    "weekly report": {"task": "tasks.reports.weekly_report", "schedule": 7 * 86_400},
    **beat_schedule(BATCHREEL),
}
