"""Benchmark: CPU time of a request for the signed playlist of a three-hour video in a private bucket.

python -m project.local exec -- python scripts/bench/playlist_cost.py
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import django

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SEGMENTS = 1800
SEGMENTS_OF_A_UNIT = 20
ROUNDS = 50


def playlist() -> str:
    """Return a media playlist of three hours: segments of six seconds as byte ranges of ninety files."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:6", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for number in range(SEGMENTS):
        file = f"../video-{number // SEGMENTS_OF_A_UNIT:04}-f1-{'0' * 12}/720p.mp4"
        if number % SEGMENTS_OF_A_UNIT == 0:
            lines.append(f'#EXT-X-MAP:URI="{file}",BYTERANGE="800@0"')
        lines += ["#EXTINF:6.000000,", f"#EXT-X-BYTERANGE:{1_000_000 + number}@{number * 1_000_000}", file]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def cpu_ms(act: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median CPU time of this thread for one call, in milliseconds."""
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        act()
        times.append(1000 * (time.thread_time() - began))
    return round(statistics.median(times), 2)


def measured() -> dict[str, Any]:
    """Store the playlist, and measure how it is signed, served for the first time and served again."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - needs Django set up
    from django.core.files.base import ContentFile  # noqa: PLC0415 - as above
    from django.core.files.storage import default_storage  # noqa: PLC0415 - as above
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.test import Client  # noqa: PLC0415 - as above

    from tasks.models import Video  # noqa: PLC0415 - as above
    from tasks.storage.bucket import Bucket  # noqa: PLC0415 - as above
    from tasks.views.playlists.signed import sign  # noqa: PLC0415 - as above
    from tasks.views.playlists.signed_texts import signed_gzip  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0, interactive=False)
    owner, _ = get_user_model().objects.get_or_create(username="viewer")
    (video,) = Video.objects.bulk_create([Video(owner=owner, title="Three hours", source_complete=False)])
    key, text, bucket = f"published/{video.pk}/{uuid.uuid4()}/publish/720p.m3u8", playlist(), Bucket(default_storage)
    default_storage.save(key, ContentFile(text.encode()))
    browser = Client()
    browser.force_login(owner)

    def request() -> None:
        response = browser.get(f"/media/{key}", headers={"Accept-Encoding": "gzip", "Host": "localhost"})
        assert response.status_code == 200, response.status_code  # noqa: PLR2004, S101 - a wrong response has no time

    signed = sign(text, key=key, url_of=bucket.presigned_url)
    return {
        "playlist_bytes": len(text),
        "signed_bytes": len(signed),
        "compressed_bytes": len(signed_gzip(bucket, key)),
        "sign_ms": cpu_ms(lambda: sign(text, key=key, url_of=bucket.presigned_url)),
        "sign_and_compress_ms": cpu_ms(
            lambda: gzip.compress(sign(text, key=key, url_of=bucket.presigned_url).encode(), 6)
        ),
        "kept_ms": cpu_ms(lambda: signed_gzip(bucket, key)),
        "whole_request_ms": cpu_ms(request),
    }


def main() -> None:
    """Create a bucket in the local stack, and print the times."""
    sys.path.insert(0, str(ROOT))
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    os.environ.update(DJANGO_SETTINGS_MODULE="project.settings", STORAGE_BUCKET=name)
    django.setup()
    print(json.dumps(measured(), indent=2))


if __name__ == "__main__":
    main()
