"""What `collectstatic` collects for visitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.management import call_command

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings


def test_source_maps_are_not_served_when_static_files_are_collected(settings: Settings, tmp_path: Path) -> None:
    source, collected = tmp_path / "source", tmp_path / "collected"
    source.mkdir()
    for name in ("player.js", "player.js.map"):
        (source / name).write_text("0")
    settings.STATICFILES_DIRS, settings.STATIC_ROOT = [source], collected
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (collected / "player.js").exists()
    assert (collected / "admin").is_dir()
    assert not list(collected.rglob("*.map*"))
