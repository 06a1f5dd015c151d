"""What may be odd about a source that is transcoded all the same: stable codes, and a sentence each for the file's owner."""

from __future__ import annotations

SOURCE_WARNINGS = {
    "READING_BROKE_OFF": "The file is damaged from some place on; what lies before it was kept.",
    "SHORTER_THAN_DECLARED": "The file ends earlier than it says; what is there was kept. Was the recording or its upload cut off?",
    "AUDIO_UNREADABLE": "The sound cannot be read, so the video is silent.",
    "CLOCK_STARTS_OVER": "The file's clock starts over on the way, as when recordings are joined without a program for it; "
    "what comes from there on may be missing.",
    "CAPTIONS_CUT": "The captions are longer than any speech; only their beginning was kept.",
}
"""By code; the probe reports codes."""
