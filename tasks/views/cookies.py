"""Cookies for people who watch: the share links that their browser has, and the CDN's signatures.

Browsers send neither of them along from a page of another site, unless that site may show the embed page
in a frame: then they are `SameSite=None` and partitioned (CHIPS), so that they work in that frame and
follow nobody to a third site.
"""

from __future__ import annotations

import time
import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import get_script_prefix

from ..conf import bridge_settings
from ..models import Job, ShareLink
from ..selectors.share_links import link_id, token_of
from ..storage.cdn import signed_cookies, signed_until, signing_key
from ..storage.keys import job_folder

SHARE_COOKIE = "batchreel_share"

_MAX_LINKS = 20
"""Links that a browser keeps, 1.4 KB of its 4 KB for a cookie: those used last."""

_BETWEEN = "~"
_OWN_SITE = frozenset({"'self'", "'none'"})


def links_of(request: HttpRequest) -> list[uuid.UUID]:
    """Return the ids of the share links that the browser has, signed by this site; they may have expired."""
    return [found for token in _tokens(request) if (found := link_id(token)) is not None]


def keep_link(request: HttpRequest, response: HttpResponseBase, link: ShareLink) -> None:
    """Let the browser use a live share link, until it expires.

    On the whole site: its own pages may have the player, and `i18n_patterns` gives ours one address per language.
    """
    token = token_of(link)
    tokens = [token, *(each for each in _tokens(request) if each != token)][:_MAX_LINKS]
    _set(
        request,
        response,
        SHARE_COOKIE,
        _BETWEEN.join(tokens),
        max_age=bridge_settings().share_link_max_days * 86400,
        path=get_script_prefix(),
    )


def open_cdn(request: HttpRequest, response: HttpResponseBase, job: Job | None) -> None:
    """Let the browser load the objects of one publication from a CDN that requires signed cookies.

    A no-op without such a CDN, or without a job. The caller has checked who asks.
    """
    key = signing_key()
    if key is None or job is None:
        return
    folder, until = job_folder(job), signed_until()
    for name, value in signed_cookies(key, folder, until=until).items():
        _set(
            request,
            response,
            name,
            value,
            max_age=int(until - time.time()),
            path=f"{urlsplit(key.base_url).path}/{folder}/",
            domain=bridge_settings().cdn_cookie_domain or None,
        )


def _tokens(request: HttpRequest) -> list[str]:
    return request.COOKIES.get(SHARE_COOKIE, "").split(_BETWEEN)[:_MAX_LINKS]


def _set(
    request: HttpRequest,
    response: HttpResponseBase,
    name: str,
    value: str,
    *,
    max_age: int,
    path: str,
    domain: str | None = None,
) -> None:
    # Browsers accept SameSite=None over HTTPS only.
    framed = request.is_secure() and not _OWN_SITE.issuperset(bridge_settings().frame_ancestors)
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path=path,
        domain=domain,
        secure=request.is_secure() or settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="None" if framed else "Lax",
    )
    if framed:
        # Python's cookies have the attribute itself from 3.14 on.
        response.cookies[name]["samesite"] = "None; Partitioned"
