"""Planting faults in the local AWS Batch, from a test."""

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
    """The faults of the running endpoint; project/local/batch/faults/plan.py says which there are."""

    def __init__(self) -> None:
        self.happened = 0
        """How often any fault has happened, until the last `reset`."""
        self._endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc

    def plant(self, kind: str, **fields: Any) -> str:
        """Plant a fault and return its id. `times` is 1 unless given; None lasts until `reset`."""
        return str(self.ask("POST", {"kind": kind, **fields})["fault_id"])

    def plant_all(self, seed: int, faults: Sequence[Mapping[str, Any]]) -> None:
        """Plant several faults; what is left to chance in them follows from the seed, which a failing test tells."""
        print(f"Faults by seed {seed}: {faults}")  # noqa: T201 - shown where the test fails
        self.ask("POST", {"seed": seed, "faults": list(faults)})

    def applied(self, fault_id: str) -> int:
        """How often the fault has happened."""
        planted = {fault["fault_id"]: int(fault["applied"]) for fault in self.ask("GET")["faults"]}
        assert fault_id in planted, "the faults were reset"
        return planted[fault_id]

    def reset(self) -> None:
        """Remove all faults; calls that hang go on."""
        self.happened += sum(int(fault["applied"]) for fault in self.ask("GET")["faults"])
        self.ask("DELETE")

    def ask(self, method: str, document: Any = None) -> Any:
        """What the endpoint answers. Raises AssertionError with its refusal."""
        connection = http.client.HTTPConnection(self._endpoint, timeout=_LIMIT_S)
        try:
            connection.request(method, "/local-batch/faults", body=None if document is None else json.dumps(document))
            answer = connection.getresponse()
            told = json.load(answer)
        finally:
            connection.close()
        assert answer.status == http.HTTPStatus.OK, told
        return told
