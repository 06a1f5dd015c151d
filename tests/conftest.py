"""What tests share, wherever they are: hints that are tried, faults in the local AWS Batch."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from tests.wakeup_broker import forget_wakeups

from tasks import wakeup
from tests.batch_faults import Faults
from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE, CONTAINER_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import DjangoDbBlocker

# Hundreds of thousands of rounds for each account would be a tenth of all the tests' time. What is stored is of the same kind.
PBKDF2PasswordHasher.iterations = 1


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Give containers their role in the database of the test run."""
    if CONTAINER_PASSWORD_VARIABLE in os.environ:
        with django_db_blocker.unblock():
            call_command("container_role", CONTAINER_ROLE, stdout=io.StringIO())


@pytest.fixture
def wakeups_are_sent() -> Iterator[None]:
    """No earlier failure keeps a hint back in this test, and none of this test keeps one back later."""
    wakeup.breaker.reset()
    yield
    # A hint that was waited for no longer may still fail, and would then keep back those of the next test.
    forget_wakeups()


@pytest.fixture
def faults(record_property: Callable[[str, object], None]) -> Iterator[Faults]:
    """Faults in the local AWS Batch; none of them is left afterwards, and how many happened is counted."""
    faults = Faults()
    yield faults
    faults.reset()
    record_property("faults", faults.happened)
