"""Buttons for the list's actions on a row's page, so that an operator can act on the page that shows the problem."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from .transcode_form import TranscodeForm, profile_choices
from .widgets import AnyAdmin

_FROM_PAGE = "_from_page"
_HAS_OWN_BUTTON = "delete_selected"


class PageActions(AnyAdmin):
    """Admin whose list actions are also on the row's page. After an action, the page is shown again with the result."""

    action_form: ClassVar[type[ActionForm]] = TranscodeForm
    change_form_template = "admin/batchreel/page_with_actions.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add the actions that this user may run to Django's view."""
        choices = self.get_action_choices(request, [])
        row = self.get_object(request, object_id)
        possible = self.possible_actions(row) if row is not None else frozenset()
        choices = [choice for choice in choices if possible is None or choice[0] in possible]
        buttons = {
            "page_actions": [choice for choice in choices if choice[0] != _HAS_OWN_BUTTON],
            "actions_url": self._url("changelist"),
            "from_page": _FROM_PAGE,
            "profiles": profile_choices() if any(name == "transcode_again" for name, _ in choices) else [],
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **buttons})

    def possible_actions(self, row: Any) -> frozenset[str] | None:
        """Return the actions that the state of a row allows, or None for all."""
        return None

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **options: Any
    ) -> HttpResponse | None:
        """Redirect back to the row's page if its button was used. Later versions of Django pass more arguments."""
        response = super().response_action(request, queryset, *args, **options)
        if isinstance(response, HttpResponseRedirect) and _FROM_PAGE in request.POST:
            return HttpResponseRedirect(self._url("change", request.POST[ACTION_CHECKBOX_NAME]))
        return response

    def _url(self, page: str, *pk: str) -> str:
        names = self.opts.app_label, self.opts.model_name, page
        return reverse("{}:{}_{}_{}".format(self.admin_site.name, *names), args=pk)
