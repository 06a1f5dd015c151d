"""A 200 response with an empty object, as a proxy in between may return it, proves nothing: the effect is unknown."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tasks.batch.aws import AwsBatch, batch_client
from tasks.batch.errors import BatchAmbiguousError
from tasks.batch.port import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _EmptyResponse(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def empty_response_batch(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBatch]:
    """Yield AWS Batch behind a server that answers every call with an empty object."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyResponse)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    batch_client.cache_clear()
    yield AwsBatch()
    for retry in (True, False):
        batch_client(retry=retry).close()
    batch_client.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


SUBMISSION = Submission(
    name="batchreel-x-1", queue="none", parameters={}, environment={}, vcpus=1, memory_mib=512, timeout_s=60
)


@pytest.mark.parametrize(
    "call",
    [
        lambda batch: batch.submit(SUBMISSION),
        lambda batch: batch.describe(["5c0c7aed-c67d-4925-9f79-0a6ed3a3c4a1"]),
        lambda batch: batch.find(name="batchreel-x-1"),
        lambda batch: batch.list_active(position=""),
    ],
    ids=["SubmitJob", "DescribeJobs", "ListJobs by name", "ListJobs"],
)
def test_call_is_ambiguous_when_its_response_is_empty(
    empty_response_batch: AwsBatch, call: Callable[[AwsBatch], object]
) -> None:
    with pytest.raises(BatchAmbiguousError, match="the response has no"):
        call(empty_response_batch)
