"""Records each boto3 call as a line `service:Operation` in the file RECORDED_CALLS.

Python imports this module at startup if its folder is on PYTHONPATH.
"""

from __future__ import annotations

import os
from typing import Any

from botocore.client import BaseClient

_make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]


def _recorded(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
    # A single write in append mode, so that lines of several processes do not interleave.
    descriptor = os.open(os.environ["RECORDED_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{client.meta.service_model.service_name}:{operation}\n".encode())
    finally:
        os.close(descriptor)
    return _make_api_call(client, operation, arguments)


BaseClient._make_api_call = _recorded  # type: ignore[attr-defined]
