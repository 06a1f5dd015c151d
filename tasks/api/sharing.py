"""Share links of a video."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import ShareLink
from ..selectors.share_links import live_links, token_of
from ..services.requests.share import create_share_link, revoke_share_links
from .endpoint import Endpoint
from .protocol.fields import entered, shown
from .protocol.once import once
from .schema import KEY, described
from .shapes import ShareLinkEntered, ShareLinkShown, ShareLinksShown


class ShareLinks(Endpoint):
    """The share links of a video."""

    tag = "sharing"

    @described("listShareLinks", responses=ShareLinksShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """List the links of a video that are valid, newest first."""
        links = live_links().filter(video=self.video(video_id, "change"))
        return Response({"results": [self._shown(link) for link in links]})

    @described("createShareLink", parameters=[KEY], request=ShareLinkEntered, responses={201: ShareLinkShown})
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Create a link that is valid for a number of days.

        409 `TOO_MANY_SHARE_LINKS` above `share_links_per_video`.
        """
        video = self.video(video_id, "change")
        days = entered(ShareLinkEntered, request.data)["days"]

        def create(_: uuid.UUID) -> Response:
            return Response(self._shown(create_share_link(video_id=video.pk, days=days)), status=201)

        return once(request, create, in_one_transaction=True)

    def _shown(self, link: ShareLink) -> dict[str, Any]:
        url = self.http_request.build_absolute_uri(reverse("batchreel:share", args=[token_of(link)]))
        values = {"id": link.pk, "url": url, "created_at": link.created_at, "expires_at": link.expires_at}
        return shown(ShareLinkShown, values)


class OneShareLink(Endpoint):
    """One share link."""

    tag = "sharing"

    @described("revokeShareLink", responses={204: None})
    def delete(self, request: Request, video_id: uuid.UUID, link_id: uuid.UUID) -> Response:
        """Revoke a link: people who opened it before can no longer watch either."""
        if not revoke_share_links(video_id=self.video(video_id, "change").pk, link_id=link_id):
            raise Http404
        return Response(status=204)
