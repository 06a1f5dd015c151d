"""Check of the site's profiles: every fault of every profile, with an id for its kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from ..transcode import FaultKind, ProfileError, site_profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conf import BridgeSettings

_IDS = {
    FaultKind.VALUE: "batchreel.E029",
    FaultKind.NAME: "batchreel.E070",
    FaultKind.FIELD: "batchreel.E071",
    FaultKind.EXTENDS: "batchreel.E072",
    FaultKind.PRESET: "batchreel.E073",
    FaultKind.SIZES: "batchreel.E074",
    FaultKind.CAPS: "batchreel.E075",
    FaultKind.SEGMENT: "batchreel.E076",
    FaultKind.LEVEL: "batchreel.E077",
}


def check_profiles(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Yield the faults of `profiles`, or that the default profile is none of them."""
    try:
        profiles = site_profiles(conf.profiles)
    except ProfileError as error:
        for fault in error.faults:
            yield Error(
                f"BATCHREEL['profiles'][{fault.profile!r}] cannot be used: {fault.text}.",
                hint="docs/how-to/change-the-ladder.md lists every field, and has an example.",
                id=_IDS[fault.kind],
            )
        return
    if conf.speech_engine and not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", conf.speech_engine):
        yield Error(
            f"BATCHREEL['speech_engine'] is {conf.speech_engine!r}, which is no dotted path of a function.",
            hint="Name it as in `mysite.speech.transcribe`, or leave it empty for whisper.cpp.",
            id="batchreel.E083",
        )
    if conf.profile not in profiles:
        yield Error(
            f"BATCHREEL['profile'] is {conf.profile!r}, which is not a known profile.",
            hint=f"Set it to one of: {', '.join(sorted(profiles))}.",
            id="batchreel.E006",
        )
