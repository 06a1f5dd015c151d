"""Settings, read once from the environment.

`manage.py check` reports missing and contradictory settings; docs/reference/settings.md lists all of them.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import environ

from tasks.broker import redis_broker
from tasks.schedule.ticks import PURGE, QUEUES
from tasks.storage.bucket import client_config
from tasks.storage.timeouts import CONTAINER_TIMEOUTS, SITE_TIMEOUTS

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = BASE_DIR / ".local"

env = environ.Env()

# Django.
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ko", "한국어")]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "project.static_files.StaticFiles",
    "django_celery_beat",
    "tasks",
]

# The REST API, with the extra `api`.
HAS_API = find_spec("rest_framework") is not None and find_spec("drf_spectacular") is not None
if HAS_API:
    INSTALLED_APPS += ["rest_framework", "rest_framework.authtoken"]

MIDDLEWARE = [
    "project.health.health",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # The language of the browser, if it is one of LANGUAGES.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Before anything reads the body of a request.
    "tasks.views.body_limit.BodyLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Error pages (404.html and the like), and the admin's frame with the site's name, before Django's own.
        "DIRS": [BASE_DIR / "project" / "templates"],
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

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# HTTPS is the default; the local stack serves plain HTTP and sets HTTPS=off.
HTTPS = env.bool("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The database is the single source of truth. Connections are not reused across requests or tasks,
# so that a database restart never leaves a stale one; the connect timeout keeps callers from
# waiting forever. Empty counts as unset: a job definition may contain the variable with an empty
# value.
DATABASES = {"default": env.db_url_config(env.str("DATABASE_URL", default="") or "postgres:///")}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        # Detect a server that disappears in the middle of a statement after half a minute, not
        # after Linux's default of two hours.
        "tcp_user_timeout": 15_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
        "application_name": env.str("APPLICATION_NAME", default="batchreel"),
    }
)
DATABASES["default"]["CONN_MAX_AGE"] = 0
# A process that is stopped inside a transaction must not keep a job's row locked forever. Leave
# DATABASE_SESSION_OPTIONS empty behind a pooler that rejects startup options (PgBouncer in
# transaction mode), and set both parameters on the database role instead.
if session_options := env.str(
    "DATABASE_SESSION_OPTIONS", default="-c idle_in_transaction_session_timeout=20000 -c lock_timeout=10000"
):
    DATABASES["default"]["OPTIONS"]["options"] = session_options

# Files. With STORAGE_BUCKET set, uploads and publications are stored in S3 (or R2, with
# STORAGE_ENDPOINT_URL), otherwise in MEDIA_ROOT.
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(LOCAL_DIR / "media")))
MEDIA_URL = "/media/"
# Base URL of published objects if browsers do not load them through this site: a CDN or public
# bucket with the same root as the storage.
MEDIA_BASE_URL = env.str("MEDIA_BASE_URL", default="")
# Path, in the containers' image, of the weights for automatic captions.
SPEECH_WEIGHTS = env.str("SPEECH_WEIGHTS", default="")
# Key of a CloudFront key group, if that CDN requires signed cookies.
CDN_KEY_PAIR_ID = env.str("CDN_KEY_PAIR_ID", default="")
CDN_PRIVATE_KEY = env.str("CDN_PRIVATE_KEY", default="")
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(LOCAL_DIR / "static")))
FRONTEND_DIR = Path(env.str("FRONTEND_DIR", default=str(LOCAL_DIR / "frontend" / "static")))
STATICFILES_DIRS = [("batchreel/vendor", FRONTEND_DIR)] if FRONTEND_DIR.is_dir() else []
STORAGE_BUCKET = env.str("STORAGE_BUCKET", default="")
# The same precedence as in boto3. It is repeated here because the Content-Security-Policy needs the
# URL that media come from.
STORAGE_ENDPOINT_URL = (
    env.str("STORAGE_ENDPOINT_URL", default=None)
    or env.str("AWS_ENDPOINT_URL_S3", default=None)
    or env.str("AWS_ENDPOINT_URL", default=None)
)
STORAGE_REGION = env.str("STORAGE_REGION", default=env.str("AWS_DEFAULT_REGION", default=None))
STORAGES = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": STORAGE_BUCKET,
            "endpoint_url": STORAGE_ENDPOINT_URL,
            "region_name": STORAGE_REGION,
            # For buckets outside AWS. Otherwise both are empty, and the process uses its IAM role.
            "access_key": env.str("STORAGE_ACCESS_KEY_ID", default=None),
            "secret_key": env.str("STORAGE_SECRET_ACCESS_KEY", default=None),
            # On AWS, use the bucket's regional host name: requests signed for the global name fail
            # if AWS redirects them, as for a new bucket.
            # A container waits for the storage for minutes, which costs it time. In a web process or
            # Celery worker, each call that waits holds a thread.
            "client_config": client_config(
                addressing_style="auto" if STORAGE_ENDPOINT_URL else "virtual",
                timeouts=CONTAINER_TIMEOUTS if "AWS_BATCH_JOB_ID" in os.environ else SITE_TIMEOUTS,
            ),
            "file_overwrite": False,
            "default_acl": None,
        },
    }
    if STORAGE_BUCKET
    else {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
FILE_UPLOAD_PERMISSIONS = 0o644

# Browsers run only our own scripts, and load media only from the site and from the media origins.
# hls.js passes loaded media to the player as a `blob:`, and gives its text tracks a `data:`; without
# it, captions cannot be switched off again in Chromium. media-chrome has style elements in its shadow
# trees, and the progress bars in the admin set their width with an inline style.
MEDIA_ORIGINS = [
    f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, filter(None, [MEDIA_BASE_URL, STORAGE_ENDPOINT_URL]))
]
if STORAGE_BUCKET and not STORAGE_ENDPOINT_URL:
    services = filter(None, ["s3", STORAGE_REGION and f"s3.{STORAGE_REGION}"])
    MEDIA_ORIGINS += [f"https://{STORAGE_BUCKET}.{service}.amazonaws.com" for service in services]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:", *MEDIA_ORIGINS],
        "media-src": ["'self'", "blob:", "data:", *MEDIA_ORIGINS],
        "connect-src": ["'self'", *MEDIA_ORIGINS],
        "worker-src": ["'none'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# Mail to the owners of videos (mail_kinds in BATCHREEL), and Django's own to people without a password.
vars().update(env.email_url_config(env.str("EMAIL_URL", default="smtp://localhost:25")))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="webmaster@localhost")

# The bridge. These two variables have the same names as in the predecessor; tasks/conf.py has every
# other setting.
VIDEO_BATCH_JOB_QUEUE = env.str("VIDEO_BATCH_JOB_QUEUE", default="")
VIDEO_BATCH_HELPER_QUEUE = env.str("VIDEO_BATCH_HELPER_QUEUE", default="")
VIDEO_BATCH_ON_DEMAND_QUEUE = env.str("VIDEO_BATCH_ON_DEMAND_QUEUE", default="")
VIDEO_BATCH_EVENT_QUEUE_URL = env.str("VIDEO_BATCH_EVENT_QUEUE_URL", default="")
VIDEO_BATCH_JOB_DEFINITION = env.str("VIDEO_BATCH_JOB_DEFINITION", default="")
BATCHREEL = env.json("BATCHREEL", default={})
# Bearer token for Prometheus. Without one, there is no /metrics.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# Celery on Redis. A message is only a wake-up, so nothing here tries to make Redis reliable; the
# timeouts keep it from blocking callers.
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
REDIS_SOCKET_TIMEOUT_S = env.float("REDIS_SOCKET_TIMEOUT_S", default=2)
broker = redis_broker(
    REDIS_URL,
    ca_file=env.str("REDIS_CA_FILE", default=""),
    sentinel_master=env.str("REDIS_SENTINEL_MASTER", default=""),
    sentinel_password=env.str("REDIS_SENTINEL_PASSWORD", default=""),
    socket_timeout_s=REDIS_SOCKET_TIMEOUT_S,
)
CELERY_BROKER_URL = broker.url
CELERY_BROKER_USE_SSL = broker.use_ssl
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# Batchreel's tasks have their own limits and acknowledgement (tasks/tasks.py); these are for the site's.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SOFT_TIME_LIMIT = 20
CELERY_TASK_TIME_LIMIT = 25
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_DEFAULT_QUEUE = PURGE.queue
CELERY_TASK_QUEUES = {name: {"exchange": name, "routing_key": name} for name in QUEUES}
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Maximum number of seconds between SIGTERM and the exit of a worker, whatever hangs: well before
# ECS or systemd would kill it (30 s).
WORKER_EXIT_LIMIT_S = env.float("WORKER_EXIT_LIMIT_S", default=20)
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 1,
    "socket_timeout": REDIS_SOCKET_TIMEOUT_S,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "global_keyprefix": "batchreel:",
    **broker.transport_options,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
# Beat's other entries are rows that tasks/schedule/ticks.py defines.
CELERY_BEAT_SCHEDULE = {
    "project: clear expired sessions": {
        "task": "project.clear_sessions",
        "schedule": 86_400,
        "options": {"queue": PURGE.queue, "expire_seconds": 86_400},
    }
}

# Celery logs three lines per tick. On a developer's machine they bury everything else.
_TICK_LOGGERS = (
    {}
    if env.bool("LOG_TICKS", default=True)
    else {name: {"level": "WARNING"} for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace")}
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "tasks.json_logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": env.str("LOG_FORMAT", default="plain")}},
    "loggers": {"botocore": {"level": "WARNING"}, **_TICK_LOGGERS},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
