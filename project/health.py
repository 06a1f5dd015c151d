"""`/health/`, for load balancers: whether this process answers. `manage.py doctor` looks at everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

PATH = "/health/"


def health(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, the first of all: load balancers ask by address and over HTTP, which Django's own would refuse.

    The database is not asked: where it is away, ending the web processes would mend nothing.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse("ok", content_type="text/plain") if request.path == PATH else get_response(request)

    return answer
