"""Django's app for static files, without source maps.

Browsers request source maps only for their developer tools, and those of hls.js are the largest files
that a visitor could download.
"""

from __future__ import annotations

from django.contrib.staticfiles.apps import StaticFilesConfig


class StaticFiles(StaticFilesConfig):
    """`collectstatic` leaves out source maps."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "*.map"]
