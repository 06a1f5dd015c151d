"""`/health/`, for load balancers: whether this process responds.

`manage.py doctor` checks everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

PATH = "/health/"


def health(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return middleware that answers health checks. It must come first.

    Load balancers send requests by IP address and over plain HTTP, which Django's own middleware
    would reject. The database is not queried: during an outage, restarting the web processes would
    not help.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse("ok", content_type="text/plain") if request.path == PATH else get_response(request)

    return middleware
