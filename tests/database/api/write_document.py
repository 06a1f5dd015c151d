"""Writes docs/reference/openapi.yaml again: `python -m tests.database.api.write_document`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "openapi.yaml"
SERVER = "https://video.example.org/api"


def rendered() -> str:
    """Return the document of the operations as they are now."""
    from tasks.api import document, urls  # noqa: PLC0415 - needs Django's settings

    return document.rendered(urls.operations, SERVER)


if __name__ == "__main__":
    import django

    os.environ.update(DJANGO_SETTINGS_MODULE="project.settings", SECRET_KEY=secrets.token_urlsafe(48), HTTPS="off")
    django.setup()
    PAGE.write_text(rendered())
