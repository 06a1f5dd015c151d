"""Texts of the pages' scripts in the reader's language: Django's catalogue for scripts, of this app alone."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import conditional_page, require_safe
from django.views.i18n import JavaScriptCatalog

_catalogue = JavaScriptCatalog.as_view(packages=[__package__.rpartition(".")[0]])


@require_safe
@login_not_required
@conditional_page
def script_texts(request: HttpRequest) -> HttpResponseBase:
    """Respond with a script that defines `django.gettext` and its relatives (200, or 304 if the browser has it)."""
    response = _catalogue(request)
    # The language may change with the next request, so browsers ask again, and get 304.
    response["Cache-Control"] = "private, no-cache"
    return response
