"""The site's web worker with a shorter limit, for tests."""

from __future__ import annotations

from project.web_worker import BufferingWorker


class HastyWorker(BufferingWorker):
    """A worker that waits one second for a request."""

    request_limit_s = 1.0
