"""The site's Celery application, the same one in every thread."""

from __future__ import annotations

from typing import Any

from celery import Celery, _state
from celery.app import app_or_default

_remembered: list[Celery] = []


def remember_app() -> None:
    """Remember the site's Celery application: its default one, or else the one that is current in this thread.

    Called once Django is set up, so by the thread that has imported the site's settings. Celery keeps
    the current application for each thread: unless the site calls `set_default()`, the threads of a web
    server get a fallback without a broker (measured).
    """
    apps: tuple[Any, ...] = (getattr(_state, "default_app", None), app_or_default())
    for app in apps:
        if getattr(app, "set_as_current", False):  # the fallback's is False
            _remembered[:] = [app]
            return


def celery_app() -> Celery:
    """Return the site's application, or Celery's fallback if the site has none."""
    return _remembered[0] if _remembered else app_or_default()
