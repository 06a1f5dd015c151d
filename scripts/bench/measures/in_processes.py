"""Concurrent calls of one function in several processes, each with its own Django setup and connection."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def in_processes(work: Callable[[int], Result], *, count: int) -> list[Result]:
    """Call `work` with 0, 1, 2 ... in one process each, all started together, and return the results.

    `work` must be a module-level function, because the new process imports it.
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
    begin.wait()  # type: ignore[attr-defined] # multiprocessing's Barrier is not a type
