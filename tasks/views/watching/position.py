"""How far the person behind the request has watched a video, on sites with `keep_watch_positions`."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from ...selectors.player import keeps_position
from ...services.requests.position import PositionError, keep_position
from ..access import json_error, json_view, video_for


@require_POST
@json_view
def position(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Keep `position_s` for the signed-in person (204). 404 without the setting, and for people without an account.

    400 with the code INVALID_POSITION if it is no number of seconds.
    """
    if not keeps_position(request.user):
        raise Http404
    video = video_for(request, video_id)
    try:
        keep_position(user=request.user, video=video, sent=request.POST.get("position_s", ""))
    except PositionError as error:
        return json_error(400, error.code, str(error))
    return HttpResponse(status=204)
