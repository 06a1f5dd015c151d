"""Who may do what with a video. Every page, playlist and file asks `allowed`.

Next to the owner, people have rights by Django's permissions: those of the model, which are for all
videos, and those of one video, which an authentication backend gives (django-guardian, rules, or the
site's own). Django's ModelBackend answers False to every question about one object, so both are asked.

| to | one of these permissions |
|---|---|
| watch | `watch_video`, `view_video`, `change_video`; or the visibility, or a share link |
| view: watch, and see history and state | `view_video`, `change_video` |
| change | `change_video` |
| delete | `delete_video` |
| upload | `add_video` of the model |
| endpoints of webhooks, and their deliveries | those of the models `WebhookEndpoint` and `Delivery` |

Superusers have all of them. Staff status gives none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from ..models import Video, Visibility
from .share_links import opens

if TYPE_CHECKING:
    import uuid

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    AnyUser = AbstractBaseUser | AnonymousUser

Action = Literal["watch", "view", "change", "delete"]

_PERMISSIONS: dict[Action, tuple[str, ...]] = {
    "watch": ("batchreel.watch_video", "batchreel.view_video", "batchreel.change_video"),
    "view": ("batchreel.view_video", "batchreel.change_video"),
    "change": ("batchreel.change_video",),
    "delete": ("batchreel.delete_video",),
}


def allowed(user: AnyUser, action: Action, video: Video, *, links: Collection[uuid.UUID] = ()) -> bool:
    """Return whether this user may do this with the video; `links` are the share links that their browser has.

    A deleted video is open to nobody.
    """
    if video.deleted_at is not None:
        return False
    if action == "watch" and video.visibility == Visibility.LINK:
        return True
    if user.is_authenticated and user.is_active:
        if video.owner_id is not None and video.owner_id == user.pk:
            return True
        if action == "watch" and video.visibility == Visibility.SIGNED_IN:
            return True
    # The links last: they take a query, and a list asks for each of its videos.
    return permitted(user, action, video) or (action == "watch" and opens(links, video))


def permitted(user: AnyUser, action: Action, video: Video | None = None) -> bool:
    """Return whether a permission lets this user do this: with all videos, or with this one if it is given.

    Backends are also asked about people who are not signed in: some have permissions for them.
    """
    has_perm = getattr(user, "has_perm", None)  # an own user model may have no permissions
    if has_perm is None or (user.is_authenticated and not user.is_active):
        return False
    return any(has_perm(name) or (video is not None and has_perm(name, video)) for name in _PERMISSIONS[action])


def may_upload(user: AnyUser) -> bool:
    """Return whether this user may upload videos."""
    return may_with_model(user, "batchreel.add_video")


def may_with_model(user: AnyUser, permission: str) -> bool:
    """Return whether this user has a permission for all rows of a model, such as `batchreel.add_webhookendpoint`."""
    has_perm = getattr(user, "has_perm", None)
    return bool(user.is_active and has_perm is not None and has_perm(permission))
