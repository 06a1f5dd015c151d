"""The accounts of the local site, and the file with their password."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from project.local.environment import stored_secret

LOGIN_FILE = "login.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the local site. All users have the same password."""

    name: str
    is_admin: bool
    may_upload: bool
    purpose: str


ADMIN = Account(name="admin", is_admin=True, may_upload=True, purpose="sees every video, the admin and Flower")
TEACHER = Account(name="teacher", is_admin=False, may_upload=True, purpose="owns the demo videos, and may upload")
STUDENT = Account(
    name="student", is_admin=False, may_upload=False, purpose="owns no video, and watches what others let them"
)
ACCOUNTS = (ADMIN, TEACHER, STUDENT)


def ensure_accounts(state_dir: Path) -> str:
    """Create the accounts, or reset their passwords to the stored one.

    Return the password. Needs Django set up.
    """
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - only once Django is set up
    from django.contrib.auth.models import Permission  # noqa: PLC0415 - likewise

    password = stored_secret(state_dir / "password", length_bytes=9)
    for account in ACCOUNTS:
        rights = {"is_staff": account.is_admin, "is_superuser": account.is_admin}
        user, _ = get_user_model().objects.get_or_create(username=account.name, defaults=rights)
        user.set_password(password)
        user.save()
        if account.may_upload:
            user.user_permissions.add(Permission.objects.get(codename="add_video"))
    return password


def account_user(account: Account) -> Any:
    """Return the user of an account that `ensure_accounts` created."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - only once Django is set up

    return get_user_model().objects.get(username=account.name)


def write_login_file(state_dir: Path, *, urls: Mapping[str, str], password: str) -> Path:
    """Write URLs and logins to a file that only its owner can read. Return its path."""
    path = state_dir / LOGIN_FILE
    lines = [f"{name:10} {url}" for name, url in urls.items()]
    lines += ["", f"password   {password}   (the same for every account)", ""]
    lines += [f"{account.name:10} {account.purpose}" for account in ACCOUNTS]
    path.touch(mode=0o600)
    os.chmod(path, 0o600)  # noqa: PTH101 - an older file may be readable
    path.write_text("\n".join(lines) + "\n")
    return path
