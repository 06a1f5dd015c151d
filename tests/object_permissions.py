"""An authentication backend of a site's own that gives permissions for single videos."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

BACKEND = "tests.object_permissions.ObjectPermissions"


class ObjectPermissions(BaseBackend):
    """Gives the permissions that a test has granted, and none of the model: has_perm without an object is False."""

    granted: set[tuple[str, str, object]] = set()
    """User name, permission, and key of the video."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and (user_obj.get_username(), perm, obj.pk) in self.granted
