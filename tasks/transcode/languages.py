"""Names of languages and tracks: from what containers declare to BCP 47 tags and what players show."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.core import get_global

if TYPE_CHECKING:
    from collections.abc import Collection

_UNKNOWN = frozenset({"", "und", "mul", "mis", "zxx"})
"""Codes of ISO 639-2 for no particular language."""

_LETTERS = 3

_LONGEST_NAME = 60


class Language(NamedTuple):
    """A language of a stream; both are empty if it is unknown."""

    tag: str
    """BCP 47 tag, as short as possible: `en`, `pt-BR`, `zh-Hant`."""
    name: str
    """In the language itself: `Português (Brasil)`; empty if CLDR has no name for it."""


def language_of(declared: str) -> Language:
    """Return the language that a container declares: as a tag, or with a code of ISO 639-2 such as `ger`.

    Tags and names are those of Unicode's CLDR.
    """
    first, _, rest = declared.strip().replace("_", "-").partition("-")
    if first.lower() in _UNKNOWN:
        return Language("", "")
    shortest = get_global("language_aliases").get(first.lower(), first.lower())
    for tag in (f"{shortest}-{rest}", shortest):
        with suppress(ValueError, UnknownLocaleError):
            locale = Locale.parse(tag.removesuffix("-"), sep="-")
            name = locale.get_display_name(locale) or ""
            return Language(str(locale).replace("_", "-"), name[:1].upper() + name[1:])
    is_code = len(declared) == _LETTERS and declared.isascii() and declared.isalpha()
    return Language(declared.lower() if is_code else "", "")


def unique_name(wanted: str, *, taken: Collection[str], otherwise: str) -> str:
    """Return a name without characters that a playlist cannot quote, or `otherwise` if nothing remains.

    A number is appended if another track already has the name.
    """
    plain = " ".join(wanted.replace('"', "'").split())[:_LONGEST_NAME] or otherwise
    names = [plain, *(f"{plain} {number}" for number in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)
