"""What only services use: transitions, row locks, how an attempt ends, the budget of attempts."""

from __future__ import annotations
