"""The local AWS endpoint: moto's server with our own job plane of AWS Batch.

moto serves S3, Logs, IAM, EC2, EventBridge, SQS and Batch's control plane.

Unmodified boto3 uses it through AWS_ENDPOINT_URL. moto's own job plane is replaced because it is
not thread-safe, reports no exit codes and iterates over all jobs for each describe; its prices are
replaced because they are all the same. All state is in memory and is lost with the process.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from project.local.aws.event_queue import RECEIVE_TARGET, correct_queues
from project.local.aws.prices import PriceList, use_spot_prices
from project.local.aws.ranged_reads import RangedReads, read_ranges_alone
from project.local.aws.served_bytes import ServedBytes
from project.local.aws.server import PROJECT_ROOT
from project.local.aws.service_role import use_service_linked_role
from project.local.batch.api import JobPlane
from project.local.batch.container_logs import ContainerLogs
from project.local.batch.control_plane import ControlPlane
from project.local.batch.event_bus import EventBus
from project.local.batch.faults.plan import FAULTS_PATH, FaultTable
from project.local.batch.faults.responses import FaultyJobPlane
from project.local.batch.jobs import JobTable
from project.local.batch.runner import ContainerRunner
from project.local.environment import first_environment
from project.local.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from project.local.batch.api import Response

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_COMPUTE_CHANGES = frozenset({"/v1/createcomputeenvironment", "/v1/updatecomputeenvironment", "/v1/updatejobqueue"})


class AwsServer(ThreadedWSGIServer):
    """The HTTP server, with one thread per connection."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        moto_lock = threading.RLock()
        control_plane = ControlPlane(moto_lock)
        self.table = JobTable(control_plane.compute)
        self.faults = FaultTable()
        self.job_plane = FaultyJobPlane(JobPlane(self.table, control_plane), self.table, self.faults)
        self.logs = ContainerLogs(moto_lock)
        self.events = EventBus(moto_lock, self.faults)
        self.table.publish_to(self.events.publish)
        correct_queues(moto_lock)
        moto = ServedBytes(RangedReads(_LockedMoto(moto_lock)))
        super().__init__(LOOPBACK, port, moto, handler=_RequestHandler)

    def start_containers(self, site: Path | None) -> None:
        """Start running submitted jobs, in the folder `site` or in this project."""
        environment = {**first_environment(), "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}"}
        runner = ContainerRunner(
            self.table,
            self.logs,
            environment=environment,
            folder=site or PROJECT_ROOT,
            own_python=site is None,
            faults=self.faults,
            docker_image=os.environ.get("LOCAL_BATCH_DOCKER_IMAGE", ""),
        )
        threading.Thread(target=runner.start_jobs_forever, name="start-jobs", daemon=True).start()
        threading.Thread(target=self.events.send_forever, name="send-events", daemon=True).start()


class _LockedMoto:
    """moto as a WSGI application that serves one request at a time: its state is in plain dicts without locks.

    S3 requests are not serialized, so that a long upload blocks nothing. Two clients never write
    the same object here. A long poll of SQS takes the lock by itself, for moments.
    """

    def __init__(self, moto_lock: threading.RLock) -> None:
        self._lock = moto_lock
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        scope = _CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        is_unlocked = (
            scope is None or scope["service"] == "s3" or environ.get("HTTP_X_AMZ_TARGET", "") == RECEIVE_TARGET
        )
        with nullcontext() if is_unlocked else self._lock:
            response: Iterable[bytes] = self._moto(environ, start_response)
        return response


class _RequestHandler(MotoRequestHandler):
    """Handler for job plane requests, with persistent connections.

    It passes all other requests to moto.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise the body of a small response is sent 40 ms after its header
    server: AwsServer

    def run_wsgi(self) -> None:
        """Handle one request."""
        scope = _CREDENTIAL_SCOPE.search(self.headers.get("Authorization", ""))
        is_batch = self.path == FAULTS_PATH or (scope is not None and scope["service"] == "batch")
        if is_batch and self.server.job_plane.handles(self.command, self.path):
            self._respond_from_job_plane(scope["region"] if scope else "")
            return
        if scope is not None and scope["service"] == "pricing":
            self._respond(PriceList().respond(self._body()))
            return
        super().run_wsgi()
        if self.path in _COMPUTE_CHANGES:
            self.server.table.place_again()

    def handle_expect_100(self) -> bool:
        """Send nothing: werkzeug already sends "100 Continue"."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing, because polling would fill the log. Errors are logged where they occur."""

    def _respond_from_job_plane(self, region: str) -> None:
        answered = self.server.job_plane.respond(self.command, self.path, self._body(), region=region)
        if answered is None:
            self.close_connection = True
        else:
            self._respond(answered)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _respond(self, answered: Response) -> None:
        status, headers, response = answered
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)


def main() -> None:
    """Serve until SIGTERM. The lifelines of running containers then end them."""
    parser = argparse.ArgumentParser(prog="python -m project.local.aws.endpoint", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback")
    parser.add_argument("--site", type=Path, help="folder of a site in which its own Python runs the containers")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _exit_now)
    use_service_linked_role()
    read_ranges_alone()
    use_spot_prices()
    server = AwsServer(arguments.port)
    server.start_containers(arguments.site)
    server.serve_forever()


def _exit_now(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # the threads of running containers would delay a normal exit, and no state needs to be saved


if __name__ == "__main__":
    main()
