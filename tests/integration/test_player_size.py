"""All that the page of a video loads for its player stays small."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from project.local.frontend import TARGET_DIR, install_frontend

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "tasks" / "static" / "batchreel"
LIMIT_KIB = 250


def test_player_stays_below_its_limit_when_a_library_or_a_script_grows(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns about a missing folder
    messages: list[str] = []
    assert install_frontend(report=messages.append), messages
    libraries = [TARGET_DIR / "static" / name for name in ("hls.js", "controls.js")]
    own = [*STATIC.glob("player/*.js"), STATIC / "player.css", STATIC / "embed.css"]
    assert len(own) >= 15
    texts = client.get("/texts.js", headers={"accept-language": "ko"}).content
    loaded = [path.read_bytes() for path in [*libraries, *own]] + [texts]
    size_kib = sum(len(gzip.compress(each, 9)) for each in loaded) / 1024
    assert size_kib < LIMIT_KIB
    # A browser would ask for a map that is not there.
    assert not [path for path in libraries if b"sourceMappingURL" in path.read_bytes()]
