"""Fake containers: real Batch jobs whose processes encode nothing, but call the real services for everything else.

Each Batch job's process is a small program that connects to a server in the test's process. There,
a thread claims the attempt, finishes unit after unit, and publishes. When the program is killed,
the thread finishes no further unit. So fifty jobs take seconds, and a test can hold all of them at
one place.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import traceback
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connection

from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.states import AWAIT_PLAN_STAGE, UnitKind
from tasks.services.container_api.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from tasks.services.container_api.finish import PlannedUnit, finish_attempt, finish_plan, finish_unit
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.container_api.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_batch import BatchClient

PROGRAM = Path(__file__).with_name("fake_container_program.py")

_HELD_LIMIT_S = 60.0
_REFUSALS = (NotClaimableError, JobAlreadyDoneError, FencedError, AttemptCancelledError, NotFoundError)


class FakeContainers:
    """Server that does the work of fake containers. While `gate` is cleared, it holds each of them before its claim.

    `refused` contains the ids of the Batch jobs whose claim was rejected, because another one has
    or had the attempt, or because it has ended or is gone. Each unit takes `unit_s`, and each plan
    has `video_units`. An error of one of the types in `fatal_errors` ends a fake container as if it
    had been killed.
    """

    def __init__(
        self, *, unit_s: float = 0.0, video_units: int = 2, fatal_errors: tuple[type[Exception], ...] = ()
    ) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self._unit_s, self._video_units = unit_s, video_units
        self._fatal_errors = fatal_errors
        self.problems: list[str] = []
        self.refused: list[str] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port: int = self._server.server_address[1]

    @contextmanager
    def open(self) -> Iterator[FakeContainers]:
        """Serve until the block ends. Fails at its end if a fake container raised an unexpected error."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
        assert not self.problems, "\n".join(self.problems)

    def define(self, batch: BatchClient, *, name: str) -> None:
        """Register a job definition whose containers are fake containers of this server."""
        batch.register_job_definition(
            jobDefinitionName=name,
            type="container",
            parameters={"job_id": "", "attempt": ""},
            containerProperties={
                "image": "fake-container",
                "command": ["python", "-I", "-S", str(PROGRAM), str(self.port), "Ref::job_id", "Ref::attempt"],
                "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
            },
        )

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        containers = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                job_id, number, batch_job_id = self.rfile.readline().decode().split()
                containers.gate.wait(_HELD_LIMIT_S)
                try:
                    attempt = {"job_id": uuid.UUID(job_id), "number": int(number), "batch_job_id": batch_job_id}
                    work(
                        **attempt,
                        unit_s=containers._unit_s,
                        video_units=containers._video_units,
                        keep_going=lambda: not _has_disconnected(self.connection),
                    )
                    exit_code = ExitCode.DONE
                except _REFUSALS:
                    containers.refused.append(batch_job_id)
                    exit_code = ExitCode.NOT_CLAIMABLE
                except (_KilledError, *containers._fatal_errors):
                    return
                except Exception:  # noqa: BLE001 - the test reports any unexpected error
                    containers.problems.append(traceback.format_exc())
                    return
                finally:
                    connection.close()
                with suppress(OSError):  # its Batch job may have been terminated meanwhile
                    self.wfile.write(str(int(exit_code)).encode())

        return Handler


class _KilledError(Exception):
    """The program of the Batch job was killed, so its fake container stops."""


def _has_disconnected(program: socket.socket) -> bool:
    try:
        return program.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False  # closing waits for the threads, so that none is left running in the next test
    request_queue_size = 128


def work(
    *,
    job_id: uuid.UUID,
    number: int,
    batch_job_id: str,
    unit_s: float = 0.0,
    video_units: int = 2,
    keep_going: Callable[[], bool] = lambda: True,
) -> None:
    """Do all that a container does for its job, without media: claim, plan, video units, publish.

    Raises the services' errors, and _KilledError if `keep_going` returns False.
    """
    claim = claim_attempt(job_id=job_id, number=number, batch_job_id=batch_job_id, claim_id=uuid.uuid4())
    while True:
        lease = lease_unit(claim, lease_id=uuid.uuid4().hex[:12])
        waits = lease is NothingToLease.PLAN_FIRST
        if not (waits or isinstance(lease, Lease)) and finish_attempt(claim):
            return
        threading.Event().wait(unit_s)
        if not keep_going():
            raise _KilledError
        send_heartbeat(claim, stage=AWAIT_PLAN_STAGE if waits else "encode", count=number, encoded_frames=0)
        if isinstance(lease, Lease):
            _do(claim, lease, video_units=video_units)


def _do(claim: Claim, lease: Lease, *, video_units: int) -> None:
    if lease.kind is UnitKind.PLAN:
        units = [
            PlannedUnit(kind=UnitKind.VIDEO, index=i, first_frame=i, end_frame=i + 1, weight_frames=1)
            for i in range(video_units)
        ]
        finish_plan(
            claim, lease, plan={"made by": "a fake container"}, units=units, plays_directly=False, encode_cost_s=100.0
        )
    elif lease.kind is UnitKind.PUBLISH:
        key = f"{lease.key_prefix}/master.m3u8"
        publish(claim, lease, duration_s=4.0, playlist_key=key, poster_key="")
    else:
        finish_unit(claim, lease, output={"folder": lease.key_prefix, "media": {}})
