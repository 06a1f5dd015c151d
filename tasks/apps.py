"""The app's registration. The label is `batchreel`, so that a host site's own `tasks` app can live beside it."""

from __future__ import annotations

from django.apps import AppConfig


class BatchreelConfig(AppConfig):
    """Django's entry point to the app."""

    name = __package__
    label = "batchreel"
    verbose_name = "Batchreel"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers and register the system checks."""
        from . import checks, receivers  # noqa: F401, PLC0415 - both import models, which exist only now
