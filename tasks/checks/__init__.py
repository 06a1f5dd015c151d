"""System checks: settings that are missing, or that contradict each other, with the fix. None touches the network."""

from __future__ import annotations

from . import bridge, celery

__all__ = ["bridge", "celery"]
