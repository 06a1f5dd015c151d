"""The list of videos: which of them a person gets, found by words, state or owner, and in which order.

A group of states is a condition on the video's own row, and for those that are not published also on their
newest job. Published videos are most of a site's, so no group reads the jobs of all videos
(indexes `video_shown` and `video_unpublished`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import CharField, F, OuterRef, Q, QuerySet, Subquery, TextChoices, TextField
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import JobState
from ..models import Job, Video
from .access import permitted
from .videos import videos_for

if TYPE_CHECKING:
    from .access import AnyUser

_NAME_FIELDS = ("first_name", "last_name", "email")
"""Fields of Django's own user model next to the one for signing in; an own model may lack them."""

_ENDED_WITHOUT = [JobState.FAILED.value, JobState.DEAD.value, JobState.CANCELLED.value]


class Group(TextChoices):
    """Group of states by which the list can be narrowed."""

    ALL = "", _("All videos")
    MAKING = "making", _("Being made")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed or cancelled")


class Sort(TextChoices):
    """Order of the list."""

    NEWEST = "newest", _("Newest first")
    OLDEST = "oldest", _("Oldest first")
    TITLE = "title", _("By title")
    LONGEST = "longest", _("Longest first")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a person wants of the list."""

    search: str = ""
    group: Group = Group.ALL
    sort: Sort = Sort.NEWEST
    owner: Any = None
    """The user whose videos are wanted; None for everyone's."""

    @property
    def is_narrowed(self) -> bool:
        """Whether the list leaves out videos that the person may see."""
        return bool(self.search or self.group or self.owner)


def sees_others(user: AnyUser) -> bool:
    """Return whether the list of this user has the videos of others."""
    return bool(user.is_active) and permitted(user, "view")


def owner_of(key: str) -> Any:
    """Return the user with this primary key as text, or None."""
    users = get_user_model()._default_manager  # noqa: SLF001 - Django's documented name
    try:
        return users.filter(pk=key).first() if key else None
    except (ValueError, ValidationError):  # no key of the user model
        return None


def name_of(owner: Any) -> str:
    """Return the name of a user as people read it."""
    full = owner.get_full_name() if hasattr(owner, "get_full_name") else ""  # an own user model may lack it
    return str(full or owner.get_username())


def listed(user: AnyUser, listing: Listing) -> QuerySet[Video]:
    """Return the videos of this user's list. The order is total, so that pages neither repeat nor skip a video."""
    found = videos_for(user)
    others = sees_others(user)
    if others:
        found = found.select_related("owner")
    if listing.search:
        found = found.filter(_matches(listing.search, with_owners=others))
    if listing.owner is not None:
        found = found.filter(owner=listing.owner)
    return _in_group(found, listing.group).order_by(*_order(listing.sort))


def _matches(search: str, *, with_owners: bool) -> Q:
    """Return the condition that the title has these words, or for people who see others' videos the owner's name."""
    condition = Q(title__icontains=search)
    if with_owners:
        for name in (get_user_model().USERNAME_FIELD, *_NAME_FIELDS):
            if _is_text(name):
                condition |= Q(**{f"owner__{name}__icontains": search})
    return condition


def _is_text(name: str) -> bool:
    try:
        field = get_user_model()._meta.get_field(name)  # noqa: SLF001 - Django's documented name
    except FieldDoesNotExist:
        return False
    return isinstance(field, CharField | TextField)


def _in_group(found: QuerySet[Video], group: Group) -> QuerySet[Video]:
    match group:
        case Group.READY:
            return found.filter(published_job__isnull=False)
        case Group.MAKING:
            unrequested = Q(newest_state=None)  # NULL is not outside of a list either
            return _with_newest(found).filter(
                Q(source_complete=False) | unrequested | ~Q(newest_state__in=_ENDED_WITHOUT)
            )
        case Group.FAILED:
            return _with_newest(found).filter(source_complete=True, newest_state__in=_ENDED_WITHOUT)
    return found


def _with_newest(found: QuerySet[Video]) -> QuerySet[Any]:
    """Return the videos of which nothing is published, each with the state of its newest job as `newest_state`."""
    newest = Job.objects.filter(video=OuterRef("pk")).order_by("-created_at").values("state")[:1]
    return found.filter(published_job=None).annotate(newest_state=Subquery(newest))


def _order(sort: Sort) -> list[Any]:
    match sort:
        case Sort.OLDEST:
            return ["created_at", "pk"]
        case Sort.TITLE:
            return [Lower("title"), "pk"]
        case Sort.LONGEST:
            return [F("published_job__duration_s").desc(nulls_last=True), "-created_at", "pk"]
    return ["-created_at", "-pk"]
