"""`metrics`: the metrics of tasks/metrics in the format of Prometheus."""

from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..conf import bridge_settings

logger = logging.getLogger(__name__)


@require_safe
@never_cache
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Respond with all metrics to a request with the bearer token `metrics_token`; 404 unless the site has one."""
    token = bridge_settings().metrics_token
    if not token:
        raise Http404
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - only with the extra `metrics`

        from ..metrics.collector import RowsCollector  # noqa: PLC0415 - as above
    except ImportError:
        return _unavailable("prometheus-client is not installed: `pip install 'batchreel[metrics]'`.")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(RowsCollector()), content_type=content_type)
    except DatabaseError as error:
        logger.warning("DATABASE_UNAVAILABLE %s: %s", request.path, error)
        return _unavailable("The database is unavailable.")


def _unavailable(text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=503, content_type="text/plain")
