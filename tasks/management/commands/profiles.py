"""`manage.py profiles`: the profiles that a job can have, as the settings define them."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import bridge_settings
from ...services.requests.profiles import ProfileUnavailableError, available_profiles
from ...transcode import PROFILES, PURPOSES, profile_to_json
from ...transcode.plan.ladder import cap_bps
from ...transcode.plan.profile_fields import DEFAULT_BASE, EXTENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...transcode import Profile

_HEADINGS = ("size", "CRF", "kbit/s", "above 30 fps")
_SHOWN = {
    *("name", "rungs", "preset", "max_rate_fps", "gop_s", "segment_s", "unit_segments", "audio_bps"),
    *("loudness_lufs", "captions", "thumbnail_s"),
}
"""Fields with a place of their own; all others follow by their names."""


class Command(BaseCommand):
    """Show the profiles."""

    help = (
        "Show the profiles that a job can have: sizes, quality, bit rate ceilings and all other fields, where each comes"
        " from, and which is the default. A job has the profile as it was when it was requested; its page in the admin"
        " shows that one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a name and --json."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="Only this profile.")
        parser.add_argument("--json", action="store_true", help="Write every field of each as JSON.")

    def handle(self, **options: Any) -> None:
        """Write the profiles. Raise CommandError for an unknown name, or if the settings cannot be used."""
        try:
            profiles = available_profiles()
        except ProfileUnavailableError as error:
            raise CommandError(str(error)) from error
        if options["name"] is not None and options["name"] not in profiles:
            message = f"There is no profile {options['name']!r}. Choose one of: {', '.join(sorted(profiles))}."
            raise CommandError(message)
        chosen = [each for name, each in profiles.items() if options["name"] in (None, name)]
        if options["json"]:
            self.stdout.write(json.dumps([_described(each) for each in chosen], indent=2))
        else:
            self.stdout.write("\n\n".join("\n".join(_lines(each)) for each in chosen))


def _described(profile: Profile) -> dict[str, Any]:
    conf = bridge_settings()
    own = conf.profiles.get(profile.name)
    return {
        "name": profile.name,
        "is_default": profile.name == conf.profile,
        "origin": "built in" if own is None else "BATCHREEL",
        "purpose": PURPOSES.get(profile.name, "") if own is None else "",
        "extends": None if own is None else own.get(EXTENDS, DEFAULT_BASE),
        "own_fields": [] if own is None else sorted(set(own) - {EXTENDS}),
        "fields": {name: value for name, value in profile_to_json(profile).items() if name != "name"},
    }


def _lines(profile: Profile) -> Iterator[str]:
    described = _described(profile)
    yield f"{profile.name} ({'default, ' if described['is_default'] else ''}{_origin(described)})"
    if described["purpose"]:
        yield f"  for        {described['purpose']}"
    rows = [_HEADINGS, *_rung_rows(profile)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    for row in rows:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    unit_s = profile.unit_segments * profile.segment_s
    yield f"  video      H.264, preset {profile.preset}, at most {profile.max_rate_fps} fps"
    yield f"  segments   {profile.segment_s:g} s, a key frame every {profile.gop_s:g} s, units of up to {unit_s:g} s"
    loudness = "as recorded" if profile.loudness_lufs is None else f"{profile.loudness_lufs:g} LUFS"
    yield f"  audio      AAC, {profile.audio_bps / 1000:g} kbit/s, {loudness}"
    yield f"  captions   {'yes' if profile.captions else 'no'}"
    yield f"  thumbnails {'no' if profile.thumbnail_s is None else f'every {profile.thumbnail_s:g} s'}"
    others = (f"{name}={json.dumps(value)}" for name, value in described["fields"].items() if name not in _SHOWN)
    yield f"  others     {', '.join(others)}"


def _origin(described: dict[str, Any]) -> str:
    if described["origin"] == "built in":
        return "built in"
    base = described["extends"]
    of = f"the built-in {base}" if base == described["name"] and base in PROFILES else base
    return f"BATCHREEL, extends {of} but for {', '.join(described['own_fields']) or 'nothing'}"


def _rung_rows(profile: Profile) -> Iterator[tuple[str, ...]]:
    has_fast = profile.max_rate_fps > 30  # noqa: PLR2004 - the ceiling above 30 frames per second is another one
    for rung in profile.rungs:
        fast_bps = cap_bps(rung.maxrate_bps, Fraction(profile.max_rate_fps))
        yield (
            f"{rung.short_side_px}p",
            str(rung.crf),
            f"{rung.maxrate_bps / 1000:g}",
            f"{fast_bps / 1000:g}" if has_fast else "-",
        )
