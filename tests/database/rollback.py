"""Many cases with one scene: the rows are as before after each of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import transaction

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what the block changes in the database. Files that it writes stay."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
