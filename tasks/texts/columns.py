"""Names and help texts of models and their columns in the reader's language, for the admin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Field, Model
from django.utils.translation import gettext_lazy

Models = Iterable[type[Model]]


def translate_columns(models: Models) -> None:
    """Let the admin translate what the models' classes name in English: migrations do not change.

    Called once, when all models are loaded.
    """
    for model in models:
        names: Any = model._meta  # noqa: SLF001 - Django's documented API
        names.verbose_name = gettext_lazy(names.verbose_name)
        names.verbose_name_plural = gettext_lazy(names.verbose_name_plural)
        for column in _columns(model):
            column.verbose_name = gettext_lazy(str(column.verbose_name))
            if column.help_text:
                column.help_text = gettext_lazy(str(column.help_text))


def column_texts(models: Models) -> Iterator[str]:
    """Yield all names and help texts of the models."""
    for model in models:
        names: Any = model._meta  # noqa: SLF001 - Django's documented API
        yield from (str(names.verbose_name), str(names.verbose_name_plural))
        for column in _columns(model):
            yield from (str(text) for text in (column.verbose_name, column.help_text) if text)


def _columns(model: type[Model]) -> list[Field[Any, Any]]:
    shown = (column for column in model._meta.local_fields if not column.auto_created)  # noqa: SLF001 - as above
    return [column for column in shown if column.editable or column.primary_key]
