"""Extract, update, compile and check the catalogues of texts, with Babel: it needs no gettext tools.

Texts come from calls of gettext in Python, from templates, from scripts (domain djangojs), and from
`tasks.texts.catalogue`, which lists those of the parts without a framework and of the models.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import django
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from tasks.texts.catalogue import texts_by_module

ROOT = Path(__file__).parents[1]
APP = ROOT / "tasks"
LOCALE = APP / "locale"
DOMAINS = ("django", "djangojs")

KEYWORDS = {
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "_": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_PERCENT = re.compile(r"%\(\w+\)s|%s|%d")
_HEADER = "# Texts of Batchreel. Written by scripts/messages; translate the msgstr lines (docs/how-to/translate.md).\n#"


def extracted(domain: str) -> Catalog:
    """Return the catalogue of all texts of a domain, without translations."""
    catalog = Catalog(project="Batchreel", header_comment=_HEADER, charset="utf-8")
    for path, message, context in _texts(domain):
        catalog.add(message, locations=[(path, 0)], context=context)
    return catalog


def _texts(domain: str) -> Iterator[tuple[str, str | tuple[str, ...], str | None]]:
    if domain == "djangojs":
        for path in sorted((APP / "static").rglob("*.js")):
            yield from _calls("javascript", path, path.read_bytes())
        return
    for path in sorted(APP.rglob("*.py")):
        yield from _calls("python", path, path.read_bytes())
    for path in sorted(each for each in (APP / "templates").rglob("*") if each.is_file()):
        yield from _calls("python", path, templatize(path.read_text(), origin=str(path)).encode())
    for module, text in texts_by_module():
        yield f"tasks/{module}", text, None


def _calls(language: str, path: Path, source: bytes) -> Iterator[tuple[str, str | tuple[str, ...], str | None]]:
    for _, message, _, context in extract(language, io.BytesIO(source), keywords=KEYWORDS):
        yield str(path.relative_to(ROOT)), message, context


def po_path(language: str, domain: str) -> Path:
    """Return the file with the translations of a domain."""
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def languages() -> list[str]:
    """Return the languages that have translations."""
    return sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def translations(language: str, domain: str) -> Catalog:
    """Return the translations of a domain into a language; empty if there are none yet."""
    path = po_path(language, domain)
    if not path.exists():
        return Catalog(locale=language, project="Batchreel", header_comment=_HEADER, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str, domain: str) -> Catalog:
    """Return the translations of what is extracted now: new texts without one, and none of those that are gone."""
    known = translations(language, domain)
    catalog = Catalog(locale=language, project="Batchreel", header_comment=_HEADER, charset="utf-8")
    for message in extracted(domain):
        if message.id:
            old = known.get(message.id, message.context)
            text = old.string if old and isinstance(old.string, str) == isinstance(message.id, str) else None
            catalog.add(message.id, text, locations=message.locations, context=message.context)
    return catalog


def written(catalog: Catalog) -> bytes:
    """Return the catalogue as a file, without dates and line numbers, which would change with every commit."""
    out = io.BytesIO()
    write_po(out, catalog, width=120, sort_output=True, include_lineno=False, omit_header=True)
    forms = f'"Plural-Forms: {catalog.plural_forms}\\n"\n'
    header = f'{_HEADER}\nmsgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n{forms}'
    header += f'"Language: {catalog.locale_identifier}\\n"\n\n'
    return header.encode() + out.getvalue().lstrip()


def compiled(catalog: Catalog) -> bytes:
    """Return the translations as Django loads them: the same bytes whenever that is."""
    catalog.creation_date = catalog.revision_date = _NO_DATE
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def problems(language: str, domain: str) -> Iterator[str]:
    """Yield what is wrong with the committed files: missing texts, incomplete or wrong translations."""
    path = po_path(language, domain)
    catalog = translations(language, domain)
    if not path.exists() or path.read_bytes() != written(updated(language, domain)):
        yield f"{path.relative_to(ROOT)} is not current: run scripts/messages update"
    for message in catalog:
        forms = _forms(message.string)
        if not message.id:
            continue
        if message.fuzzy or not all(forms):
            yield f"{language} {domain}: no translation of {message.id!r}"
        elif any(_places(form) != _places(_forms(message.id)[-1]) for form in forms):
            yield f"{language} {domain}: other placeholders than in {message.id!r}"
    mo = path.with_suffix(".mo")
    if not mo.exists() or not _same(mo, catalog):
        yield f"{mo.relative_to(ROOT)} is not current: run scripts/messages compile"


def _places(text: str) -> set[str]:
    """Return the placeholders of a text: %(name)s of templates and scripts, {name} of Python, {} by its number."""
    percents = set(_PERCENT.findall(text))
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        return percents | {f"{{{name or number}}}" for number, name in enumerate(names)}
    except ValueError:  # a brace that is no placeholder
        return percents


def _same(mo: Path, catalog: Catalog) -> bool:
    with mo.open("rb") as file:
        return _pairs(read_mo(file)) == _pairs(catalog)


def _pairs(catalog: Catalog) -> dict[tuple[str | None, tuple[str, ...]], tuple[str, ...]]:
    translated = (each for each in catalog if each.id and all(_forms(each.string)))
    return {(each.context, _forms(each.id)): _forms(each.string) for each in translated}


def _forms(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def main(command: str, *chosen: str) -> int:
    """Run `update [LANGUAGE]`, `compile` or `check`. Return the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    faults = 0
    for language in chosen or languages():
        for domain in DOMAINS:
            path = po_path(language, domain)
            if command == "update":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(written(updated(language, domain)))
            elif command == "compile":
                path.with_suffix(".mo").write_bytes(compiled(translations(language, domain)))
            else:
                for problem in problems(language, domain):
                    print(problem)
                    faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/messages", description="Texts that people read: see translate.md.")
    parser.add_argument("command", choices=["update", "compile", "check"])
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="default: all that are there")
    arguments = parser.parse_args()
    sys.exit(main(arguments.command, *arguments.languages))
