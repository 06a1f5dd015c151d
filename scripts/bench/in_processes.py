"""Runs the same work in several processes at once, each with Django and a connection of its own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def in_processes(work: Callable[[int], Result], *, count: int) -> list[Result]:
    """Call `work` with 0, 1, 2 ... in a process each, all begun together; what they returned.

    `work` must be a function of a module, for a new process imports it.
    """
    starts = multiprocessing.get_context("spawn")
    begin = starts.Barrier(count)
    with ProcessPoolExecutor(count, mp_context=starts, initializer=_prepare, initargs=(begin,)) as pool:
        return [each.result() for each in [pool.submit(work, number) for number in range(count)]]


def _prepare(begin: object) -> None:
    import django  # noqa: PLC0415 - in the new process only

    django.setup()
    from django.db import connection  # noqa: PLC0415 - needs the setup

    connection.ensure_connection()
    begin.wait()  # type: ignore[attr-defined] # a Barrier, which is no type
