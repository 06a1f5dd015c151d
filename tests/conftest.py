"""What tests share, wherever they are: hints that are tried, faults in the local AWS Batch."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tasks import hints
from tests.batch_faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

_END_LIMIT_S = 30.0


@pytest.fixture
def hints_are_tried() -> Iterator[None]:
    """No earlier failure keeps a hint back in this test, and none of this test keeps one back later."""
    hints.breaker.reset()
    yield
    # A hint that was waited for no longer may still fail, and would then keep back those of the next test.
    for thread in threading.enumerate():
        if thread.name == "hint":
            thread.join(timeout=_END_LIMIT_S)
            assert not thread.is_alive(), "a hint never came to its end"
    hints.breaker.reset()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Faults in the local AWS Batch; none of them is left afterwards."""
    faults = Faults()
    yield faults
    faults.reset()
