"""What can go wrong while the local stack starts, as sentences for the person who started it."""

from __future__ import annotations


class StackError(Exception):
    """The local stack cannot run; the message says why and what to do, and ends with the log's last lines if any."""


class FolderInUseError(StackError):
    """Another stack is running on the state folder."""


class PortTakenError(StackError):
    """Another process took the port between choosing it and listening on it; starting again mends it."""
