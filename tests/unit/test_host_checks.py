"""`manage.py check` reports what a site of its own left out: receivers, blocks of a template, apps of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import models

from tasks.broker.app import celery_app
from tasks.models import Video
from tasks.schedule import beat_schedule
from tasks.signals import deletion_requested

if TYPE_CHECKING:
    from pathlib import Path

    from django.core.checks import CheckMessage
    from pytest_django import Settings

MakeModel = Callable[..., None]


@pytest.fixture
def lesson() -> Iterator[MakeModel]:
    """Return a callable that adds a model of another app, with this field `video`, for this test."""

    def make(field: models.Field) -> None:
        options = type("Meta", (), {"app_label": "auth"})
        type("Lesson", (models.Model,), {"__module__": __name__, "Meta": options, "video": field})

    yield make
    for name in [name for name in apps.all_models["auth"] if name.startswith("lesson")]:
        del apps.all_models["auth"][name]
    apps.clear_cache()


def messages() -> list[CheckMessage]:
    return run_checks(tags=["batchreel"])


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (models.ForeignKey(Video, null=True, on_delete=models.SET_NULL), "auth.Lesson.video"),
        (models.OneToOneField(Video, on_delete=models.CASCADE, related_name="+"), "auth.Lesson.video"),
        (models.ManyToManyField(Video), "auth.Lesson_video.video"),
    ],
    ids=["foreign key", "one to one", "many to many"],
)
def test_foreign_key_to_videos_is_reported_when_nothing_releases_it(
    field: models.Field, name: str, lesson: MakeModel
) -> None:
    lesson(field)
    (found,) = messages()
    assert (found.id, found.msg.split()[0]) == ("batchreel.W034", name)
    assert "deletion_requested" in str(found.hint)


def test_foreign_key_to_videos_is_accepted_when_a_receiver_releases_it(lesson: MakeModel) -> None:
    lesson(models.ForeignKey(Video, null=True, on_delete=models.SET_NULL))

    def release(**_: object) -> None:
        """Release the rows."""

    deletion_requested.connect(release)
    try:
        assert messages() == []
    finally:
        deletion_requested.disconnect(release)


def test_reference_to_videos_is_accepted_when_the_database_does_not_check_it(lesson: MakeModel) -> None:
    lesson(models.ForeignKey(Video, on_delete=models.DO_NOTHING, db_constraint=False))
    assert messages() == []


HEAD, CONTENT = "{% block head %}{% endblock %}", "{% block content %}{% endblock %}"
TEMPLATES = [
    (HEAD + CONTENT, None),
    ("{% if user %}" + HEAD + "{% endif %}" + CONTENT, None),
    ("{% extends 'parent.html' %}{% block scripts %}" + HEAD + "{% endblock %}", None),
    ("{% extends parent_of_the_page %}", None),
    (CONTENT, "no block head"),
    (HEAD, "no block content"),
    ("{% block main %}{% endblock %}", "no block head and no block content"),
    ("{% extends 'parent.html' %}", "no block head"),
    # A block that the parent does not have is never rendered.
    ("{% extends 'parent.html' %}" + HEAD, "no block head"),
    ("{% extends 'no-such.html' %}", "'no-such.html', which does not exist"),
]


@pytest.mark.parametrize(("text", "expected"), TEMPLATES, ids=str)
def test_base_template_is_reported_when_the_pages_would_lose_a_block(
    text: str, expected: str | None, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "site.html").write_text(text)
    (tmp_path / "parent.html").write_text("{% block scripts %}{% endblock %}" + CONTENT)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    settings.BATCHREEL = {"base_template": "site.html"}
    found = messages()
    assert [message.id for message in found] == ([] if expected is None else ["batchreel.W057"])
    assert expected is None or expected in found[0].msg


def test_base_template_is_accepted_when_another_engine_renders_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "site.html").write_text("$head $content")
    other = {"BACKEND": "django.template.backends.dummy.TemplateStrings", "DIRS": [tmp_path]}
    settings.TEMPLATES = [{**other, "APP_DIRS": False, "OPTIONS": {}}, *settings.TEMPLATES]
    settings.BATCHREEL = {"base_template": "site.html"}
    assert messages() == []


REST = "rest_framework"
TOKEN = f"{REST}.authentication.TokenAuthentication"
SESSION = f"{REST}.authentication.SessionAuthentication"


@pytest.mark.parametrize(
    ("missing", "classes", "expected"),
    [
        ({REST, f"{REST}.authtoken"}, None, ["batchreel.W058", "batchreel.W059"]),
        ({f"{REST}.authtoken"}, None, ["batchreel.W059"]),
        ({f"{REST}.authtoken"}, [SESSION, TOKEN], ["batchreel.W059"]),
        ({f"{REST}.authtoken"}, [SESSION], []),
        (set(), None, []),
    ],
)
def test_api_is_reported_when_an_app_that_it_needs_is_missing(
    missing: set[str],
    classes: list[str] | None,
    expected: list[str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name not in missing and installed(name))
    settings.REST_FRAMEWORK = {} if classes is None else {"DEFAULT_AUTHENTICATION_CLASSES": classes}
    found = messages()
    assert [message.id for message in found] == expected
    assert all(REST in str(message.hint) for message in found)


def test_schedule_check_names_the_cause_when_code_replaces_the_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BEAT_SCHEDULE = beat_schedule()
    conf = celery_app().conf
    monkeypatch.setitem(conf, "beat_scheduler", "celery.beat:PersistentScheduler")
    monkeypatch.setitem(conf, "beat_schedule", {"report": {"task": "lessons.tasks.report", "schedule": 60}})
    (found,) = messages()
    assert found.id == "batchreel.W027"
    assert "`app.conf.beat_schedule`, which replaces CELERY_BEAT_SCHEDULE, does not contain them" in found.msg
    assert "app.conf.beat_schedule.update(beat_schedule(settings.BATCHREEL))" in str(found.hint)
    conf.beat_schedule.update(beat_schedule())
    assert messages() == []
