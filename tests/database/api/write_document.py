"""Writes docs/reference/openapi.yaml again: `python -m tests.database.api.write_document`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "openapi.yaml"
SERVER = "https://video.example.org/api"


def rendered() -> str:
    """Return the document of the operations as they are now."""
    from drf_spectacular.renderers import OpenApiYamlRenderer  # noqa: PLC0415 - needs Django's settings

    from tasks.api.schema import document  # noqa: PLC0415 - as above
    from tasks.api.urls import operations  # noqa: PLC0415 - as above

    renderer: Any = OpenApiYamlRenderer()
    text = renderer.render(document(operations, SERVER))
    return text.decode() if isinstance(text, bytes) else str(text)


if __name__ == "__main__":
    import django

    os.environ.update(DJANGO_SETTINGS_MODULE="project.settings", SECRET_KEY=secrets.token_urlsafe(48), HTTPS="off")
    django.setup()
    PAGE.write_text(rendered())
