"""Speech recognition: a unit's audio becomes text with times, in a confined child process (docs/adr/0057)."""

from __future__ import annotations
