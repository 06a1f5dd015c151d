"""The catalogues of texts: current, complete, and equal to what the parts without a framework have."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from django.conf import settings

from tasks.lifecycle.dead_message import Cause, dead_message
from tasks.lifecycle.reasons import Reason
from tasks.texts.catalogue import texts_by_module
from tasks.transcode import REJECTIONS, SOURCE_WARNINGS

ROOT = Path(__file__).parents[2]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "messages.py"))
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]


def test_every_offered_language_has_a_catalogue_when_one_is_added() -> None:
    assert SCRIPT["languages"]() == sorted(LANGUAGES)


def test_no_text_is_translated_inside_an_f_string_when_one_is_added() -> None:
    # Babel 2.19 does not find it there before Python 3.12, so it would be missing from the catalogue.
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in (ROOT / "tasks").rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in SCRIPT["KEYWORDS"]
    ]
    assert not found


@pytest.mark.parametrize("domain", SCRIPT["DOMAINS"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_is_current_and_complete_when_a_text_changes(language: str, domain: str) -> None:
    assert list(SCRIPT["problems"](language, domain)) == []


def test_texts_of_the_parts_without_a_framework_are_in_the_catalogue_when_one_is_added() -> None:
    texts = {text for _, text in texts_by_module()}
    known = {message.id for message in SCRIPT["extracted"]("django")}
    assert texts <= known
    assert {*REJECTIONS.values(), *SOURCE_WARNINGS.values(), *(reason.message for reason in Reason)} <= texts


@pytest.mark.parametrize("reason", [Reason.ATTEMPTS_EXHAUSTED, Reason.TOO_MANY_LOSSES])
def test_message_of_a_dead_job_is_made_of_texts_in_the_catalogue_when_it_is_translated(reason: Reason) -> None:
    known = {text for _, text in texts_by_module()}
    asked: list[str] = []

    def translate(text: str) -> str:
        asked.append(text)
        return text

    causes = [Cause("STALLED", ""), Cause("TRANSCODE_FAILED", "ENCODER_FAILED"), Cause("GONE", "")]
    for led_to_it in ([], causes[:1], causes[:1] * 2, causes):
        assert dead_message(reason, led_to_it, translate=translate) == dead_message(reason, led_to_it)
    assert len(asked) == 12
    assert set(asked) <= known


@pytest.mark.parametrize(
    ("translation", "problem"),
    [
        ("", "de django: no translation of 'Only {stored} bytes.'"),
        ("Nur {gespeichert} Bytes.", "de django: other placeholders than in 'Only {stored} bytes.'"),
        ("Nur {stored} Bytes.", None),
    ],
)
def test_translation_is_refused_when_it_is_missing_or_lost_a_placeholder(
    translation: str, problem: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    functions = SCRIPT["problems"].__globals__
    texts = Catalog(charset="utf-8")
    texts.add("Only {stored} bytes.", locations=[("a.py", 0)])
    monkeypatch.setitem(functions, "LOCALE", tmp_path)
    monkeypatch.setitem(functions, "ROOT", tmp_path)
    monkeypatch.setitem(functions, "extracted", lambda _domain: texts)
    path = SCRIPT["po_path"]("de", "django")
    path.parent.mkdir(parents=True)
    path.write_bytes(SCRIPT["written"](SCRIPT["updated"]("de", "django")))
    text = path.read_text()
    path.write_text(text.replace('bytes."\nmsgstr ""', f'bytes."\nmsgstr "{translation}"'))
    path.with_suffix(".mo").write_bytes(SCRIPT["compiled"](SCRIPT["translations"]("de", "django")))
    found = list(SCRIPT["problems"]("de", "django"))
    assert found == ([problem] if problem else [])
