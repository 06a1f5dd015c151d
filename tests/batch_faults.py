"""Client for injecting faults into the local AWS Batch from a test."""

from __future__ import annotations

import http.client
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LIMIT_S = 10.0


class Faults:
    """Faults of the running endpoint. project/local/batch/faults/plan.py lists their kinds."""

    def __init__(self) -> None:
        self.applied_count = 0
        """Number of times that any fault was applied, up to the last `reset`."""
        self._endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc

    def inject(self, kind: str, **fields: Any) -> str:
        """Inject a fault and return its id. `times` defaults to 1; None lasts until `reset`."""
        return str(self.request("POST", {"kind": kind, **fields})["fault_id"])

    def inject_all(self, seed: int, faults: Sequence[Mapping[str, Any]]) -> None:
        """Inject faults whose random choices follow from the seed; a failing test prints it."""
        print(f"Faults by seed {seed}: {faults}")  # noqa: T201 - pytest shows it if the test fails
        self.request("POST", {"seed": seed, "faults": list(faults)})

    def applied(self, fault_id: str) -> int:
        """Return the number of times that the fault was applied."""
        planted = {fault["fault_id"]: int(fault["applied"]) for fault in self.request("GET")["faults"]}
        assert fault_id in planted, "the faults were reset"
        return planted[fault_id]

    def reset(self) -> None:
        """Remove all faults and release the calls that hang."""
        self.applied_count += sum(int(fault["applied"]) for fault in self.request("GET")["faults"])
        self.request("DELETE")

    def request(self, method: str, document: Any = None) -> Any:
        """Return the endpoint's response. Raises AssertionError if it rejects the request."""
        connection = http.client.HTTPConnection(self._endpoint, timeout=_LIMIT_S)
        try:
            connection.request(method, "/local-batch/faults", body=None if document is None else json.dumps(document))
            response = connection.getresponse()
            content = json.load(response)
        finally:
            connection.close()
        assert response.status == http.HTTPStatus.OK, content
        return content
