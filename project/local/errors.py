"""Errors of the local stack, with messages for the person who started it."""

from __future__ import annotations


class StackError(Exception):
    """The local stack cannot run.

    The message gives the reason and the fix, and ends with the last lines of the log, if any.
    """


class FolderInUseError(StackError):
    """Another stack is running on the state folder."""


class PortTakenError(StackError):
    """Another process took the port between choosing it and listening on it.

    Starting again on another port fixes it.
    """
