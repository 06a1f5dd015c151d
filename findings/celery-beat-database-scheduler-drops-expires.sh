#!/bin/sh
# django-celery-beat silently drops `expires` from the options of an entry in CELERY_BEAT_SCHEDULE.
#
# Versions: celery 5.5.3, django-celery-beat 2.8.1, Django 5.2.7.
# Expected: `"options": {"expires": 30}`, which celery's own documentation gives as the way to expire ticks that piled up, works with
#           every scheduler.
# Seen:     DatabaseScheduler writes the entry without an expiry: the row has expires=None and expire_seconds=None, nothing is
#           logged, and ticks pile up while workers are down. `expire_seconds` in the same place is kept.
# So:       give entries `expire_seconds`; a check that looks for `expires` helps people who copy from celery's documentation.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.5.3 django-celery-beat==2.8.1 django==5.2.7
cd "$folder"
venv/bin/python - <<'PYTHON'
import django
from celery import Celery
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django_celery_beat"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "beat.sqlite3"}},
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

call_command("migrate", verbosity=0)
app = Celery("site", broker="memory://")
app.conf.beat_schedule = {
    name: {"task": "site.tick", "schedule": 10.0, "options": {name: 30}} for name in ("expires", "expire_seconds")
}
DatabaseScheduler(app=app).setup_schedule()
seen = {row.name: (row.expires, row.expire_seconds) for row in PeriodicTask.objects.filter(task="site.tick")}
for name, (expires, expire_seconds) in sorted(seen.items()):
    print(f"option {name}=30 became expires={expires}, expire_seconds={expire_seconds}")
raise SystemExit(seen != {"expires": (None, None), "expire_seconds": (None, 30)})
PYTHON
