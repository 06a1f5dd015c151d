"""The only writers of state: one transaction each, job row locked first, then attempt, then unit. No network call inside one."""

from __future__ import annotations
