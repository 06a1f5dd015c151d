"""The encoding of a caption file: by its byte order mark, as UTF-8, by its zeros, or by the language of its text.

Files of older programs have the code page of the computer that wrote them, and nothing in the file names
it. The language does: programs for Korean wrote CP949, those for Russian Windows-1251. The table is that of
Microsoft's ANSI code pages ("Code Page Identifiers", Windows documentation).
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from .faults import ENCODING, CaptionFileError

UTF_8 = "UTF-8"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)

_WESTERN = ("cp1252", "Windows-1252")
_CYRILLIC, _CENTRAL = ("cp1251", "Windows-1251"), ("cp1250", "Windows-1250")
_ARABIC, _BALTIC = ("cp1256", "Windows-1256"), ("cp1257", "Windows-1257")
_BY_LANGUAGE = {
    "ko": ("cp949", "CP949"),
    "ja": ("cp932", "Shift JIS"),
    "zh": ("gb18030", "GB 18030"),
    "zh-Hant": ("cp950", "Big5"),
    "zh-TW": ("cp950", "Big5"),
    "zh-HK": ("cp950", "Big5"),
    "el": ("cp1253", "Windows-1253"),
    "tr": ("cp1254", "Windows-1254"),
    "he": ("cp1255", "Windows-1255"),
    "vi": ("cp1258", "Windows-1258"),
    "th": ("cp874", "Windows-874"),
    **dict.fromkeys(("ar", "fa", "ur"), _ARABIC),
    **dict.fromkeys(("et", "lt", "lv"), _BALTIC),
    **dict.fromkeys(("be", "bg", "mk", "ru", "sr", "uk"), _CYRILLIC),
    **dict.fromkeys(("bs", "cs", "hr", "hu", "pl", "ro", "sk", "sl"), _CENTRAL),
}
_ZEROS_OF_UTF_16 = 0.2
"""Least share of zero bytes at even or odd places. Times and line ends alone are more than that in any language."""


class DecodedText(NamedTuple):
    """The text of a file, without a byte order mark and with newlines alone."""

    text: str
    encoding: str
    """Name of the encoding, for people."""
    is_certain: bool
    """Whether the bytes show the encoding; otherwise it follows from the language."""


def decode(content: bytes, *, language: str) -> DecodedText:
    """Return the text. `language` is a BCP 47 tag. Raises CaptionFileError if it is not valid in its encoding."""
    codec, name, is_certain = _encoding_of(content, language)
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise CaptionFileError(ENCODING, line=content.count(b"\n", 0, error.start) + 1, value=name) from error
    # PostgreSQL cannot store NUL, and no player shows it.
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return DecodedText(text, name, is_certain)


def _encoding_of(content: bytes, language: str) -> tuple[str, str, bool]:
    for mark, codec, name in _MARKS:
        if content.startswith(mark):
            return codec, name, True
    if b"\0" not in content:
        try:
            content.decode()
        except UnicodeDecodeError:
            pass
        else:
            return "utf-8", UTF_8, True
    for first, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = content[first::2]
        if half.count(0) > _ZEROS_OF_UTF_16 * len(half):
            return codec, "UTF-16", True
    return *(_BY_LANGUAGE.get(language) or _BY_LANGUAGE.get(language.partition("-")[0]) or _WESTERN), False
