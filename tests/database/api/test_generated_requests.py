"""Requests that schemathesis generates from the OpenAPI document, right and wrong ones, for each operation.

Each response must be documented: its status, its type, its content. No request may end in a fault.
"""

from __future__ import annotations

import itertools
import os
import uuid
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import yaml
from django.contrib.auth.models import Permission, User
from django.core.wsgi import get_wsgi_application
from django.urls import get_script_prefix, resolve
from rest_framework.authtoken.models import Token

from tasks.api import urls
from tasks.models import DirectUpload, Video
from tasks.services.requests.replace import begin_replacement
from tasks.storage.aliases import sources_bucket
from tests.buckets import use_new_bucket
from tests.database.api.test_who_may_api import Scene
from tests.database.api.write_document import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from tasks.storage.bucket import Bucket

schemathesis = pytest.importorskip("schemathesis")
GenerationMode = schemathesis.GenerationMode

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

EXAMPLES = int(os.environ.get("GENERATED_REQUESTS", "25"))
"""Requests of each kind for each operation, of which one half has ids of rows that exist."""

NOT_FOR_US = ("positive_data_acceptance", "use_after_free", "ensure_resource_availability")
"""Checks that do not hold: a valid request may be refused for the state of a row, and rows are made by the test."""


DOCUMENT = yaml.safe_load(PAGE.read_text()) | {"servers": [{"url": "http://localhost/api"}]}
NAMES = [each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values()]
NOT_FOR_FORMS = ("negative_data_rejection",)
"""In a form, a number is sent as a text, and null is not sent at all."""
IN_PARTS = ("createVideo", "beginReplacement", "readUpload", "requestPartUrls", "completeUpload", "abortUpload")
"""Operations that do nothing without a bucket. With one, they run again."""


@pytest.fixture
def operations(scene: Scene) -> dict[str, Any]:
    """Return the operations by their names, for a site in this process."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = get_wsgi_application()
    found = [each.ok() for each in schema.get_all_operations()]
    return {each.definition.raw["operationId"]: each for each in found}


@pytest.fixture
def scene(storage: str, settings: Settings, _own_storage: None) -> Scene:
    if storage == "bucket":
        use_new_bucket(settings)
    settings.BATCHREEL = {**settings.BATCHREEL, "api_throttle_per_minute": 0}
    settings.ALLOWED_HOSTS = ["localhost"]
    scene = Scene()
    owner = User.objects.get(username="owner")
    owner.user_permissions.add(*Permission.objects.filter(content_type__app_label="batchreel"))
    return scene


def ids_in(scene: Scene, path: str) -> Callable[[], dict[str, str]]:
    """Return a function that makes rows for the ids in the path, and returns these."""
    name = next(each.name for each in urls.operations if f"/{pattern_of(each)}" == path)
    calls = itertools.count()

    def made() -> dict[str, str]:
        Video.objects.update(deleted_at=None)
        if bucket := sources_bucket():
            open_upload(scene.video, bucket, is_open=bool(next(calls) % 3))
        match = resolve("/" + scene.url(str(name)).removeprefix(get_script_prefix()))
        return {each: str(text) for each, text in match.kwargs.items()}

    return made


def open_upload(video: Video, bucket: Bucket, *, is_open: bool) -> None:
    """Let the video have an open upload of a new file, or none."""
    DirectUpload.objects.all().delete()
    if is_open:
        begin_replacement(
            bucket=bucket,
            video_id=video.pk,
            owner=None,
            name="new.mp4",
            size_bytes=9,
            content_type="video/mp4",
            version=uuid.uuid4(),
        )


def pattern_of(pattern: Any) -> str:
    """Return the path of an operation as the document has it."""
    names = {each: f"{{{each}}}" for each in pattern.pattern.converters}
    path = str(pattern.pattern)
    for each, text in names.items():
        path = path.replace(f"<uuid:{each}>", text).replace(f"<int:{each}>", text)
    return path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(
    ("name", "storage"), [*((name, "folder") for name in NAMES), *((name, "bucket") for name in IN_PARTS)]
)
def test_response_is_documented_when_a_request_is_generated(
    name: str, mode: Any, scene: Scene, operations: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    operation = operations[name]
    made = ids_in(scene, operation.path)
    number = itertools.count()
    statuses: dict[int, int] = {}
    token = f"Token {Token.objects.get(user__username='owner').key}"
    is_form = "multipart/form-data" in operation.definition.raw.get("requestBody", {}).get("content", {})
    left_out = {*NOT_FOR_US, *(NOT_FOR_FORMS if is_form else ())}
    checks = [each for each in schemathesis.checks.CHECKS.get_all() if each.__name__ not in left_out]

    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if next(number) % 2:
            case.path_parameters = made()
        response = case.call(headers={**(case.headers or {}), "Authorization": token})
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        case.validate_response(response, checks=checks, headers={"Authorization": token})

    send()
    record_property("requests", sum(statuses.values()))
    record_property("statuses", dict(sorted(statuses.items())))
    assert not [status for status in statuses if status >= 500]
