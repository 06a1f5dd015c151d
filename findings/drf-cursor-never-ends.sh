#!/bin/sh
# Django REST framework's cursor pagination never ends with more than 1,000 equal times, and skips rows if equal ones are deleted.
#
# Versions: djangorestframework 3.18.3, Django 5.2.19.
# Expected: with ordering = ("-created_at", "-id"), which is unique, `next` leads through all rows once.
# Seen:     a cursor contains the first field's value and a number of rows to skip, at most 1,000 of them. With 1,500 rows of one time, as a bulk
#           import makes them, `next` returns to the same place again and again. If rows that were read are deleted, others are skipped.
# So:       use a cursor of all fields of the order (tasks/api/protocol/pages.py), or order by one unique field.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check djangorestframework==3.18.3 django==5.2.19
"$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timezone

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["rest_framework"],
    USE_TZ=True,
    ALLOWED_HOSTS=["testserver"],
)
django.setup()
from django.db import connection, models
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory


class Row(models.Model):
    created_at = models.DateTimeField()

    class Meta:
        app_label = "rows"


class Pages(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 100


def page(url):
    pages = Pages()
    rows = pages.paginate_queryset(Row.objects.all(), Request(APIRequestFactory().get(url)))
    return [row.pk for row in rows], pages.get_next_link()


def walk(delete_read):
    read, url = [], "/"
    for _ in range(40):
        ids, url = page(url)
        read += ids
        if delete_read:
            Row.objects.filter(pk__in=ids).delete()
        if url is None:
            break
    return read, url is None


with connection.schema_editor() as editor:
    editor.create_model(Row)
now = datetime(2026, 1, 1, tzinfo=timezone.utc)
Row.objects.bulk_create([Row(created_at=now) for _ in range(1500)])
read, ended = walk(delete_read=False)
print(f"1,500 rows of one time, 40 pages of 100: {len(read)} rows, {len(set(read))} different ones, ended: {ended}")
never_ends = not ended and len(set(read)) < 1500
Row.objects.all().delete()
Row.objects.bulk_create([Row(created_at=now) for _ in range(500)])
read, ended = walk(delete_read=True)
print(f"500 rows of one time, each page deleted after it was read: {len(read)} rows, ended: {ended}")
raise SystemExit(not (never_ends and ended and len(read) < 500))
PYTHON
