"""The site's web worker with lower limits, for tests."""

from __future__ import annotations

from project.web.worker import BufferingWorker


class HastyWorker(BufferingWorker):
    """A worker that waits one second for a request, and for a client that is too slow."""

    request_limit_s = 1.0
    pace_window_s = 1.0


class ForgetfulWorker(BufferingWorker):
    """A worker that keeps a megabyte of requests, and 8.5 of responses."""

    buffered_limit_bytes = 1024 * 1024
    unsent_limit_bytes = 17 * 512 * 1024
