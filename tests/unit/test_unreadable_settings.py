"""Errors of settings that cannot be read, as the container's log has them: the cause, and no value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ImproperlyConfigured

from tasks.container.startup.unreadable import unreadable_settings

if TYPE_CHECKING:
    from pathlib import Path

DATABASE_URL = "postgres://site:s3cr/et%21w0rd@db.example.org:5432/site?sslmode=verify-full"
DUPLICATES = "Application labels aren't unique, duplicates: tasks"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "DATABASE_URL": DATABASE_URL,
        "SECRET_KEY": "k3y",
        "DEBUG": "on",
        "METRICS_NAME": "lectures",
        "BATCHREEL": '{"webhook": {"token": "t0ken-of-it"}',
        "VIDEO_BATCH_JOB_QUEUE": "tasks",
    }
    monkeypatch.setattr("os.environ", variables)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImproperlyConfigured(DUPLICATES), f"ImproperlyConfigured: {DUPLICATES}"),
        (
            ImproperlyConfigured("Set the DATABASE_URL environment variable, and turn DEBUG on."),
            "ImproperlyConfigured: Set the DATABASE_URL environment variable, and turn DEBUG on",
        ),
        (ModuleNotFoundError("No module named 'mysite'"), "ModuleNotFoundError: No module named 'mysite'"),
        (ModuleNotFoundError("No module named 'courses'"), "ModuleNotFoundError: No module named 'courses'"),
        (ValueError(), "ValueError"),
    ],
    ids=["labels", "a name", "the module", "a module", "no text"],
)
def test_error_of_settings_has_its_message_when_it_contains_no_value(error: Exception, words: str) -> None:
    expected = f"mysite.settings cannot be read: {words}. Run `manage.py check` with the same environment."
    assert unreadable_settings(error) == expected


@pytest.mark.parametrize(
    ("message", "variable"),
    [
        (f"{DATABASE_URL} is invalid", "DATABASE_URL"),
        ("Port could not be cast to integer value as 's3cr'", "DATABASE_URL"),
        ("Port could not be cast to integer value as 's3'", "DATABASE_URL"),
        ("role of et!w0rd is unknown", "DATABASE_URL"),
        ("host db.example.org is unknown", "DATABASE_URL"),
        ("the key k3y is too short", "SECRET_KEY"),
        ("no profile lectures", "METRICS_NAME"),
        ("the token t0ken-of-it is refused", "BATCHREEL"),
    ],
    ids=["URL", "part", "part of a part", "decoded", "host", "key", "value", "in JSON"],
)
def test_error_of_settings_names_the_variable_only_when_its_message_contains_a_part_of_the_value(
    message: str, variable: str
) -> None:
    assert unreadable_settings(ValueError(message)) == (
        f"mysite.settings cannot be read: ValueError, whose message contains a part of {variable}."
        " Run `manage.py check` with the same environment."
    )


def test_error_of_settings_names_the_line_of_the_site_when_a_package_raises_it(tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    code = compile("import json, os\n\nBATCHREEL = json.loads(os.environ['BATCHREEL'])\n", str(settings), "exec")
    with pytest.raises(json.JSONDecodeError) as raised:
        exec(code, {})  # noqa: S102 - as the import of a module does
    shown = unreadable_settings(raised.value)
    assert f"(the value of BATCHREEL, {settings}, line 3)" in shown
    assert "t0ken" not in shown
