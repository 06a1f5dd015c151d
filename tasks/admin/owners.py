"""Whose videos rows belong to: the owner as a column, as a filter and in searches, for any user model of the host."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import Video
from .widgets import EMPTY_VALUE

_NOBODY = "nobody"
_RECENT_VIDEOS = 500
"""Videos whose owners the filter offers: a site may have any number of people."""


class OwnerFilter(admin.SimpleListFilter):
    """Filter by the owner of the video. Those of the newest videos are offered; a link in the list finds any."""

    title = _("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the owners of the newest videos, and the one that is selected."""
        newest = Video.objects.filter(deleted_at=None).order_by("-created_at").values_list("owner_id", flat=True)
        recent = list(newest[:_RECENT_VIDEOS])
        ids = {str(pk) for pk in recent if pk is not None}
        if (selected := self.value()) and selected != _NOBODY:
            ids.add(selected)
        users = get_user_model()._default_manager.filter(pk__in=_valid_keys(ids))  # noqa: SLF001 - Django's documented API
        names = sorted(((str(user.pk), user.get_username()) for user in users), key=lambda each: each[1].lower())
        return [*names, *([(_NOBODY, gettext("nobody"))] if None in recent or selected == _NOBODY else [])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the selected owner."""
        if not (selected := self.value()):
            return queryset
        path = "owner" if queryset.model is Video else "video__owner"
        if selected == _NOBODY:
            return queryset.filter(**{f"{path}__isnull": True})
        keys = _valid_keys({selected})
        return queryset.filter(**{f"{path}__in": keys}) if keys else queryset.none()


def _valid_keys(keys: set[str]) -> list[Any]:
    """Return the keys that can be primary keys of the user model: an address may contain anything."""
    column: Any = get_user_model()._meta.pk  # noqa: SLF001 - Django's documented API
    found = []
    for key in keys:
        try:
            found.append(column.to_python(key))
        except Exception:  # noqa: BLE001, S112 - own kinds of keys raise what they like
            continue
    return found


def owner_link(owner: Any) -> str:
    """Return the owner's name, with a link to the rows of this list that are theirs."""
    if owner is None:
        return EMPTY_VALUE
    return format_html('<a href="?owner={}">{}</a>', owner.pk, owner.get_username())


def owner_name(path: str) -> str:
    """Return the search field for the owner's name; `path` leads to the owner."""
    return f"{path}__{get_user_model().USERNAME_FIELD}"


def as_uuid(text: str) -> uuid.UUID | None:
    """Return the id that someone pasted, or None if the text is none."""
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def video_url(video: Video) -> str | None:
    """Return the address of the video's page, or None if it has none: deleted, or a host without our pages."""
    if video.deleted_at is not None:
        return None
    try:
        return reverse("batchreel:video", args=[video.pk])
    except NoReverseMatch:
        return None
