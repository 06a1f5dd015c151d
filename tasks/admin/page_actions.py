"""A row's page in the admin with buttons for the actions of its list, so that an operator acts where the trouble is shown."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from .widgets import AnyAdmin

_FROM_PAGE = "_from_page"
_HAS_A_BUTTON_ALREADY = "delete_selected"


class PageActions(AnyAdmin):
    """The actions of the list, on the row's page as well; afterwards the page is shown again, with what happened."""

    change_form_template = "admin/batchreel/page_with_actions.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, with the actions that this person may use."""
        choices = self.get_action_choices(request, [])
        buttons = {
            "page_actions": [choice for choice in choices if choice[0] != _HAS_A_BUTTON_ALREADY],
            "actions_address": self._address("changelist"),
            "from_page": _FROM_PAGE,
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **buttons})

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **options: Any
    ) -> HttpResponse | None:
        """Django's; a button on a page leads back to that page. Later versions of Django give more arguments."""
        response = super().response_action(request, queryset, *args, **options)
        if isinstance(response, HttpResponseRedirect) and _FROM_PAGE in request.POST:
            return HttpResponseRedirect(self._address("change", request.POST[ACTION_CHECKBOX_NAME]))
        return response

    def _address(self, page: str, *pk: str) -> str:
        names = self.opts.app_label, self.opts.model_name, page
        return reverse("{}:{}_{}_{}".format(self.admin_site.name, *names), args=pk)
