"""Transactional tests leave the database as its migrations left it.

Django's own way sends `post_migrate` after each of these tests, whose receivers write content types, permissions
and beat entries again, which took a quarter of the time of such tests (measured).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection
from django.test import TransactionTestCase

if TYPE_CHECKING:
    import pytest

_KEEP = """
CREATE SCHEMA migrated;

DO $$
DECLARE
    name text;
    is_filled boolean;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'django_migrations' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO is_filled;
        IF is_filled THEN
            EXECUTE format('CREATE TABLE migrated.%I AS TABLE public.%I', name, name);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION migrated.restore() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
    is_filled boolean;
    emptied text[] := '{}';
    kept text[] := ARRAY(SELECT tablename::text FROM pg_tables WHERE schemaname = 'migrated');
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL (kept || 'django_migrations'::text) LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO is_filled;
        IF is_filled THEN
            emptied := emptied || format('public.%I', name);
        END IF;
    END LOOP;
    IF cardinality(emptied) > 0 THEN
        EXECUTE 'TRUNCATE ' || array_to_string(emptied, ', ') || ' CASCADE';
    END IF;
    -- Their foreign keys lead to each other only.
    SET LOCAL session_replication_role = replica;
    FOREACH name IN ARRAY kept LOOP
        EXECUTE format('DELETE FROM public.%I', name);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM migrated.%I', name, name);
    END LOOP;
    SET LOCAL session_replication_role = origin;
END $$;
"""


def keep_migrated_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember all rows of the database, and restore them after each transactional test."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP)
    monkeypatch.setattr(TransactionTestCase, "_fixture_teardown", _restore)


def _restore(_: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT migrated.restore()")
