"""System check of the site's own rows that refer to videos: something must release them when a video is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from django.apps import apps
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name

from .. import APP
from ..models import Video
from ..signals import deletion_requested

if TYPE_CHECKING:
    from collections.abc import Iterator


@register("batchreel")
def check_foreign_keys(**_: Any) -> list[CheckMessage]:
    """Check that a site with foreign keys to videos has a receiver of `deletion_requested`."""
    names = sorted(_foreign_keys())
    if not names or _has_receiver():
        return []
    return [
        Warning(
            f"{', '.join(names)} refers to videos, and no receiver of deletion_requested releases its rows. The purge of a video"
            " removes its row in the database, without on_delete: it would fail (PURGE_FAILED) as long as a row refers to it.",
            hint=f"Connect a receiver to {APP}.signals.deletion_requested that sets the reference to NULL, or deletes the"
            ' row: docs/integration.md, "Your own rows".',
            id="batchreel.W034",
        )
    ]


def _foreign_keys() -> Iterator[str]:
    """Yield the fields of other apps with a constraint on videos, those of many-to-many tables too."""
    relations: list[Any] = list(Video._meta.get_fields(include_hidden=True))  # noqa: SLF001 - documented API
    for relation in relations:
        if not relation.auto_created or relation.concrete or not getattr(relation.remote_field, "db_constraint", False):
            continue
        options = relation.related_model._meta  # noqa: SLF001 - documented API
        if options.app_label != "batchreel" and options.managed:
            yield f"{options.label}.{relation.remote_field.name}"


def _has_receiver() -> bool:
    """Return whether anything but this app receives the signal."""
    own = apps.get_app_config("batchreel").name
    for entry in deletion_requested.receivers:
        receiver = entry[1]() if isinstance(entry[1], ReferenceType) else entry[1]
        if receiver is not None and not getattr(receiver, "__module__", "").startswith(f"{own}."):
            return True
    return False
