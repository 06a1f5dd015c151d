"""The profile that a requested job gets, with all of its fields as the settings have them then."""

from __future__ import annotations

from django.utils.translation import gettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError
from ...transcode import Profile, ProfileError, site_profiles


class ProfileUnavailableError(ConflictError):
    """There is no such profile, or the settings have profiles that cannot be used."""

    code = "PROFILE_UNAVAILABLE"


def available_profiles() -> dict[str, Profile]:
    """Return the profiles that a job can request, by name. Raises ProfileUnavailableError."""
    try:
        return site_profiles(bridge_settings().profiles)
    except ProfileError as error:
        text = gettext("BATCHREEL['profiles'] cannot be used: {error}. Run `manage.py check`.")
        message = text.format(error=error)
        raise ProfileUnavailableError(message) from error


def chosen_profile(name: str | None = None) -> Profile:
    """Return the profile of this name, or the site's default one. Raises ProfileUnavailableError."""
    name = name or bridge_settings().profile
    profiles = available_profiles()
    if name not in profiles:
        text = gettext("There is no profile {name}. Choose one of: {names}.")
        message = text.format(name=repr(name), names=", ".join(sorted(profiles)))
        raise ProfileUnavailableError(message)
    return profiles[name]
