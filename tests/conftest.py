"""Fixtures for all tests: wake-ups that are sent, and faults in the local AWS Batch."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from django.utils import translation

from tasks import wakeup
from tests.batch_faults import Faults
from tests.migrated_rows import keep_migrated_rows
from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE, CONTAINER_ROLE
from tests.wakeup_broker import finish_wakeups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import DjangoDbBlocker

# Hundreds of thousands of rounds for each account would take a tenth of the time of all tests.
# The stored hashes have the same format.
PBKDF2PasswordHasher.iterations = 1


# A test never measures time: on a busy machine, any example may take longer than Hypothesis allows.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Create the containers' role in the database of the test run, and keep what the migrations wrote."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        with django_db_blocker.unblock():
            if CONTAINER_PASSWORD_VARIABLE in os.environ:
                call_command("container_role", CONTAINER_ROLE, stdout=io.StringIO())
            keep_migrated_rows(monkeypatch)
        yield


@pytest.fixture(autouse=True)
def _site_language() -> Iterator[None]:
    """Leave no language behind: a request activates that of its reader for the thread."""
    yield
    translation.deactivate()


@pytest.fixture
def wakeups_are_sent() -> Iterator[None]:
    """Close the circuit breaker of wake-ups for this test, and for the tests after it."""
    wakeup.circuit_breaker.reset()
    yield
    # A wake-up whose wait timed out may still fail, and would then suppress those of the next test.
    finish_wakeups()


@pytest.fixture
def faults(record_property: Callable[[str, object], None]) -> Iterator[Faults]:
    """Faults in the local AWS Batch, removed after the test; their number is recorded."""
    faults = Faults()
    yield faults
    faults.reset()
    record_property("faults", faults.applied_count)
