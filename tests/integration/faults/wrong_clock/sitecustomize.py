"""Shifts the wall clock of a Python program by CLOCK_OFFSET_S seconds. Python imports it at startup from PYTHONPATH.

The monotonic clock is unchanged, as on a machine whose clock was set wrong.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any

_OFFSET_S = int(os.environ["CLOCK_OFFSET_S"])

_true_time, _true_time_ns = time.time, time.time_ns
_true_gmtime, _true_localtime = time.gmtime, time.localtime
_true_datetime = dt.datetime

time.time = lambda: _true_time() + _OFFSET_S
time.time_ns = lambda: _true_time_ns() + _OFFSET_S * 1_000_000_000
time.gmtime = lambda secs=None: _true_gmtime(time.time() if secs is None else secs)
time.localtime = lambda secs=None: _true_localtime(time.time() if secs is None else secs)


class _AnyDatetime(type):
    """Makes datetimes created by C code instances of `datetime.datetime` as well."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _true_datetime)


class _WrongDatetime(_true_datetime, metaclass=_AnyDatetime):
    __slots__ = ()  # C modules compare the size of its instances

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _true_datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


dt.datetime = _WrongDatetime  # type: ignore[misc] # the purpose of this module
