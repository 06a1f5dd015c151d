"""A container retries transient database errors: outages, failovers and ended sessions."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from django.db import InternalError, connection

from tasks.container.database import Database
from tasks.models import Tick

pytestmark = pytest.mark.django_db(transaction=True)


def _retrying_database() -> Database:
    return Database(retry_s=60, shutting_down=threading.Event(), shutdown_timeout_s=1)


def _write() -> str:
    return Tick.objects.create(name="written").name


def test_database_call_is_retried_when_a_failover_leads_to_a_standby() -> None:
    connections: list[str] = []

    def write_once_writable() -> str:
        with connection.cursor() as cursor:
            if not connections:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connections.append("another")
        return _write()

    assert _retrying_database()(write_once_writable) == "written"
    assert len(connections) == 2


def test_database_call_is_retried_when_its_session_was_terminated() -> None:
    calls: list[str] = []

    def hang_once() -> str:
        if not calls:
            calls.append("hung")
            with connection.cursor() as cursor:
                cursor.execute("SET transaction_timeout = '10ms'; SELECT pg_sleep(10)")
        return _write()

    assert _retrying_database()(hang_once) == "written"


def test_database_error_is_raised_when_it_is_not_transient() -> None:
    def raise_internal_error() -> None:
        with connection.cursor() as cursor:
            # SQLSTATE class 55 raises OperationalError; XX000 raises InternalError, which is not transient.
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000'; END $$")

    with pytest.raises(InternalError, match="broken"):
        _retrying_database()(raise_internal_error)


def test_database_connection_fails_in_30_s_when_the_server_vanishes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        probes_s = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
    assert probes_s[0] + probes_s[1] * probes_s[2] <= 30
