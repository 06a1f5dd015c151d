"""A container waits for the database through what passes: an outage, a failover, a process that stood still."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from django.db import InternalError, connection

from tasks.container.database import Database
from tasks.models import Tick

pytestmark = pytest.mark.django_db(transaction=True)


def _patient() -> Database:
    return Database(retry_s=60, shutting_down=threading.Event(), shutdown_timeout_s=1)


def _write() -> str:
    return Tick.objects.create(name="written").name


def test_call_is_made_again_when_a_failover_leads_to_a_server_that_only_reads() -> None:
    connections: list[str] = []

    def write_once_writable() -> str:
        with connection.cursor() as cursor:
            if not connections:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connections.append("another")
        return _write()

    assert _patient()(write_once_writable) == "written"
    assert len(connections) == 2


def test_call_is_made_again_when_its_session_was_ended_because_it_stood_still() -> None:
    calls: list[str] = []

    def stand_still_once() -> str:
        if not calls:
            calls.append("stood still")
            with connection.cursor() as cursor:
                cursor.execute("SET transaction_timeout = '10ms'; SELECT pg_sleep(10)")
        return _write()

    assert _patient()(stand_still_once) == "written"


def test_error_that_another_call_would_meet_again_is_raised() -> None:
    def fetch_from_no_cursor() -> None:
        with connection.cursor() as cursor:
            # 55000 and its kin are OperationalErrors; XX000 is an InternalError that nothing passes.
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000'; END $$")

    with pytest.raises(InternalError, match="broken"):
        _patient()(fetch_from_no_cursor)


def test_server_that_is_gone_without_a_word_is_noticed_within_half_a_minute() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        probes_s = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
    assert probes_s[0] + probes_s[1] * probes_s[2] <= 30
