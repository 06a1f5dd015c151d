"""Python reads this first where its folder is on PYTHONPATH: each call over boto3 leaves a line, `service:Operation`, in RECORDED_CALLS."""

from __future__ import annotations

import os
from typing import Any

from botocore.client import BaseClient

_make_api_call = BaseClient._make_api_call


def _recorded(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
    # One write in append mode: lines of several processes do not mix.
    descriptor = os.open(os.environ["RECORDED_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{client.meta.service_model.service_name}:{operation}\n".encode())
    finally:
        os.close(descriptor)
    return _make_api_call(client, operation, arguments)


BaseClient._make_api_call = _recorded
