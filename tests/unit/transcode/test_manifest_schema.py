"""The schema in docs/ describes the manifest exactly: no additional fields and no missing ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tasks.transcode.package.manifest import MANIFEST_VERSION
from tests.unit.transcode.test_publication import build_example

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "reference" / "manifest.schema.json").read_text())


@pytest.fixture
def manifest() -> dict[str, Any]:
    """Return a manifest as parsed from JSON."""
    form: dict[str, Any] = json.loads(json.dumps(build_example().manifest))
    return form


def test_schema_has_the_version_of_the_code_when_that_changes() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == MANIFEST_VERSION


def test_manifest_matches_the_schema_when_it_has_everything(manifest: dict[str, Any]) -> None:
    assert manifest["captions"]
    assert manifest["audio"]
    Draft202012Validator(SCHEMA).validate(manifest)


def test_schema_rejects_a_manifest_when_a_field_is_missing_or_unknown(manifest: dict[str, Any]) -> None:
    rows = [
        manifest,
        *(manifest[name][0] for name in ("rungs", "audio", "units", "playlists", "objects", "captions", "chapters")),
    ]
    validator = Draft202012Validator(SCHEMA)
    for row in rows:
        for name in list(row):
            value = row.pop(name)
            assert not validator.is_valid(manifest), f"{name} is optional"
            row[name] = value
        row["other"] = 1
        assert not validator.is_valid(manifest)
        del row["other"]
    validator.validate(manifest)


def test_schema_rejects_a_video_when_it_has_no_key_frames(manifest: dict[str, Any]) -> None:
    manifest["objects"][0]["key_frames"] = []
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(manifest)
