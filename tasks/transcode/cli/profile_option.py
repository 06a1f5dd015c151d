"""The option --profile: the name of a built-in profile, or a JSON file with one's own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..plan.profile import PROFILES, summary
from ..plan.profile_fields import MAX_NAME, ProfileError, site_profiles

if TYPE_CHECKING:
    from ..plan.profile import Profile

_SUFFIX = ".json"

PROFILE_HELP = (
    "ladder and quality: the name of a built-in profile, or a JSON file with the fields that differ from the one that it"
    f" extends (default: standard). {'; '.join(f'{each.name}: {summary(each)}' for each in PROFILES.values())}"
)


def profile_option(text: str) -> Profile:
    """Return the profile; one from a file is named after it. Raises ArgumentTypeError, which names every fault."""
    if text in PROFILES:
        return PROFILES[text]
    if not text.endswith(_SUFFIX):
        message = f"{text!r} is neither one of {', '.join(PROFILES)} nor a file that ends in {_SUFFIX}"
        raise argparse.ArgumentTypeError(message)
    name = "-".join(Path(text).stem.split())[:MAX_NAME]
    try:
        given = json.loads(Path(text).read_text())
        return site_profiles({name: given})[name]
    except ProfileError as error:
        raise argparse.ArgumentTypeError(f"{text}: " + "; ".join(fault.text for fault in error.faults)) from error
    except OSError as error:
        message = f"{text} cannot be read: {error.strerror}"
        raise argparse.ArgumentTypeError(message) from error
    except ValueError as error:
        message = f"{text} is not JSON: {error}"
        raise argparse.ArgumentTypeError(message) from error
