"""What the fault tests share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.integration.faults.stand_ins import Hall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient


@pytest.fixture
def hall(transactional_db: None) -> Iterator[Hall]:
    """A hall for stand-ins; the database outlasts it."""
    with Hall().open() as hall:
        yield hall


@pytest.fixture
def stand_in_definition(hall: Hall, batch_client: BatchClient) -> str:
    """The name of a job definition whose containers are stand-ins of the test's hall."""
    name = f"stand-in-{uuid.uuid4().hex[:8]}"
    hall.define(batch_client, name=name)
    return name
