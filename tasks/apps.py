"""App configuration. The label, and with it the prefix of tables and templates, is `batchreel`."""

from __future__ import annotations

from django.apps import AppConfig

from .texts.columns import translate_columns


class BatchreelConfig(AppConfig):
    """App configuration of Batchreel."""

    name = __package__
    label = "batchreel"
    verbose_name = "Batchreel"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect receivers, register checks, remember the site's Celery application, and translate the admin."""
        from . import checks, receivers  # noqa: F401, PLC0415 - both import models, which are loaded only now
        from .broker.app import remember_app  # noqa: PLC0415 - Celery's settings may import this app's modules

        remember_app()
        translate_columns(self.get_models())
