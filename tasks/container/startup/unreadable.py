"""Text for settings that cannot be read: the error's own, unless it contains a value of the environment.

A URL's error quotes a part of the URL, which may be of its password, and the log is read by more
people than the secrets.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from pathlib import Path
from urllib.parse import unquote

from ... import APP

_PUBLIC = frozenset(
    [
        *("DJANGO_SETTINGS_MODULE", "PATH", "PYTHONPATH", "VIRTUAL_ENV", "PWD", "OLDPWD", "HOME", "TMPDIR", "_"),
        *("USER", "LOGNAME", "HOSTNAME", "SHELL", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    ]
)
"""Variables of every shell: their values are no secrets, and errors such as a missing module name them."""

_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)
_STRUCTURED = re.compile(r"://|^\s*[\[{]|=")
_SEPARATORS = re.compile(r"[\s,;:/@?&=#\"'{}\[\]()|]+")
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
_SHORT = 4
"""Characters. Shorter values, such as `on`, occur in any text."""

_PACKAGES = ("site-packages", "dist-packages", sysconfig.get_paths()["stdlib"], "<frozen")
_OWN = str(Path(__file__).resolve().parents[1])


def unreadable_settings(error: BaseException) -> str:
    """Return one line about the error: its type, its message if that is no secret, and the place in the site's code."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or "DJANGO_SETTINGS_MODULE is not set: settings"
    kind, message = type(error).__name__, " ".join(str(error).split()).rstrip(".")
    if names := _quoted_variables(message):
        kind += f", whose message contains a part of {' and of '.join(names)}"
    elif message:
        kind += f": {message}"
    # The place is named for a variable that the message does not name: the text of invalid JSON, for example.
    variable = _variable_of(getattr(error, "doc", None))
    place = ", ".join(filter(None, [f"the value of {variable}" if variable else "", _place(error)]))
    return f"{module} cannot be read: {kind}{f' ({place})' if place else ''}. Run `manage.py check` with the same environment."


def _quoted_variables(message: str) -> list[str]:
    """Return the names of the variables of which the message contains the value or a part."""
    public = _public_names()
    rest = message
    for each in public:
        rest = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", "", rest)
    quoted = [one or other for one, other in _QUOTED.findall(rest)]
    return [
        name
        for name, value in sorted(os.environ.items())
        if name not in _PUBLIC
        and value
        and value not in public
        and (_has_whole(message, name=name, value=value) or _has_part(rest, quoted, name=name, value=value))
    ]


def _public_names() -> list[str]:
    """Return the names of packages that errors are about, although a database often has the same name."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return [APP, *filter(None, [module, *module.split(".")])]


def _has_whole(message: str, *, name: str, value: str) -> bool:
    return value in message and (len(value) >= _SHORT or _SECRET_NAME.search(name) is not None)


def _has_part(message: str, quoted: list[str], *, name: str, value: str) -> bool:
    if not _STRUCTURED.search(value) and not _SECRET_NAME.search(name):
        return value in quoted
    if any(part in value or part in unquote(value) for part in quoted):
        return True
    parts = {*_SEPARATORS.split(value), *_SEPARATORS.split(unquote(value)), *map(unquote, _SEPARATORS.split(value))}
    return any(_contains(message, part) for part in parts if part)


def _contains(message: str, part: str) -> bool:
    if len(part) >= _SHORT:
        return part in message
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", message) is not None


def _variable_of(text: object) -> str:
    """Return the name of the variable with this value, or nothing."""
    return next((name for name, value in sorted(os.environ.items()) if value and value == text), "")


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame that is neither Python's, nor an installed package's, nor ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(each in frame.filename for each in _PACKAGES) and not frame.filename.startswith(_OWN):
            return f"{frame.filename}, line {frame.lineno}"
    return ""
