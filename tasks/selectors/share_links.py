"""Share links: their tokens, and which of them are live.

A token is the id of a row, signed with SECRET_KEY. So neither a copy of the database nor the role of the
containers can make one, and a row that was deleted or has expired opens nothing.
"""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection

from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet
from django.db.models.functions import Now

from ..models import ShareLink, Video

_SALT = "batchreel.share-link"


def token_of(link: ShareLink) -> str:
    """Return the token of a share link: 66 characters of the URL-safe alphabet of base 64, and a dot."""
    return _signer().sign(urlsafe_b64encode(link.pk.bytes).rstrip(b"=").decode())


def link_id(token: str) -> uuid.UUID | None:
    """Return the id in a token, or None if this site has not signed it."""
    try:
        return uuid.UUID(bytes=urlsafe_b64decode(_signer().unsign(token) + "=="))
    except (BadSignature, ValueError):
        return None


def live_links() -> QuerySet[ShareLink]:
    """Return the share links that have not expired, by the database's clock."""
    return ShareLink.objects.filter(expires_at__gt=Now())


def live_link(token: str) -> ShareLink | None:
    """Return the live link of a video that is not deleted, by its token; None if there is none."""
    found = link_id(token)
    if found is None:
        return None
    return live_links().select_related("video").filter(pk=found, video__deleted_at=None).first()


def opens(links: Collection[uuid.UUID], video: Video) -> bool:
    """Return whether one of these share links is live and belongs to the video. No query without links."""
    return bool(links) and live_links().filter(pk__in=links, video=video).exists()


def _signer() -> Signer:
    return Signer(salt=_SALT, sep=".")
