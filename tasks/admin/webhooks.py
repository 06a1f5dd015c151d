"""Endpoints of webhooks in the admin. A secret is shown once, in the response to the request that made it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..lifecycle.states import OutboxKind
from ..models import WebhookEndpoint
from ..services.delivery.endpoints import change_endpoint, give_first_secret, replace_secret, signing_secrets
from ..webhooks.addresses import RefusedAddressError, check_url
from .page_actions import PageActions
from .widgets import PreciseTimes


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """What people enter of an endpoint."""

    kinds = forms.MultipleChoiceField(
        choices=[(kind.value, kind.value) for kind in OutboxKind],
        widget=forms.CheckboxSelectMultiple,
        initial=[kind.value for kind in OutboxKind],
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("url", "description", "kinds", "enabled")
        widgets = {"url": forms.URLInput(attrs={"size": 80})}

    def clean_url(self) -> str:
        """Refuse URLs to which no webhook would be sent. Names are resolved at each request, and not here."""
        url = str(self.cleaned_data["url"]).strip()
        try:
            check_url(url)
        except RefusedAddressError as refusal:
            raise ValidationError(str(refusal)) from refusal
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(PageActions, PreciseTimes):
    """Receivers of webhooks."""

    form = EndpointForm
    action_form = ActionForm
    list_display = ("id", "url", "description", "enabled", "failures", "failing_since", "disabled_reason")
    list_filter = ("enabled",)
    actions = ("replace_secret",)
    readonly_fields = ("failures", "failing_since", "disabled_at", "disabled_reason", "old_secret_until", "created_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields of the form, and on an endpoint's own page what the site records about it."""
        entered = ("url", "description", "kinds", "enabled")
        return (*entered, *self.readonly_fields) if obj else entered

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Give a new endpoint its secret, and one that is enabled again a new count of failures."""
        if not change:
            give_first_secret(obj)
            obj.save()
            return
        change_endpoint(obj.pk, {name: getattr(obj, name) for name in form.changed_data})

    def response_add(self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: Any = None) -> HttpResponse:
        """Show the new endpoint's secret."""
        return self._show_secret(request, obj, signing_secrets(obj)[0])

    @admin.action(description=_("Replace the secret (the old one stays valid for a day)"), permissions=["change"])
    def replace_secret(self, request: HttpRequest, endpoints: QuerySet[Any]) -> HttpResponse | None:
        """Replace the secret of one endpoint, and show the new one."""
        if endpoints.count() != 1:
            self.message_user(request, gettext("Choose one endpoint."), messages.WARNING)
            return None
        endpoint = endpoints.get()
        return self._show_secret(request, endpoint, replace_secret(endpoint_id=endpoint.pk))

    def _show_secret(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Secret of the endpoint"),
            "endpoint": endpoint,
            "secret": secret,
            "url": self._url("change", str(endpoint.pk)),
        }
        return TemplateResponse(request, "admin/batchreel/webhook_secret.html", context)
