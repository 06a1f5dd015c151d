"""Child processes on untrusted input: limits, no network, a deadline; ffmpeg runs only in here."""

from __future__ import annotations
