"""The choice of a profile for *Transcode again*, in lists and on the pages of videos and jobs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.helpers import ActionForm
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import bridge_settings
from ..services.requests.profiles import ProfileUnavailableError, available_profiles


def profile_choices() -> list[tuple[str, str]]:
    """Return names and labels: first the default, without a name. No other ones if the settings are wrong."""
    try:
        names = list(available_profiles())
    except ProfileUnavailableError:
        names = []
    return [
        ("", gettext("default ({profile})").format(profile=bridge_settings().profile)),
        *((name, name) for name in names),
    ]


class TranscodeForm(ActionForm):
    """The list's choice of an action, with a profile. A name that no longer exists is the service's to refuse."""

    profile = forms.CharField(required=False, label=_("Profile for transcoding again:"), widget=forms.Select())

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["profile"].widget.choices = profile_choices()
