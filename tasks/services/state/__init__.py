"""For services only: transitions, row locks, the end of an attempt, the attempt limit."""

from __future__ import annotations
