"""Kinds of difficult uploads, about ten files of each, and what the engine must make of every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media.kinds import audio, boxes, captions, damaged_flv, dv, others, sizes, streams

if TYPE_CHECKING:
    from tests.media.kinds.expected import Upload

KINDS: dict[str, tuple[Upload, ...]] = {
    "sizes-grow": sizes.GROWING,
    "shapes-change": sizes.TURNING,
    "cropping": sizes.CROPPING,
    "parameter-sets": sizes.PARAMETER_SETS,
    "descriptions": sizes.DESCRIPTIONS,
    "rates": sizes.RATES,
    "layouts": audio.LAYOUTS,
    "jitter": audio.JITTER,
    "still": others.STILL,
    "hdr-range": others.HDR,
    "names": others.NAMES,
    "captions-in-frames": captions.IN_FRAMES,
    "ass": captions.ASS,
    "caption-purposes": captions.PURPOSES,
    "caption-languages": captions.LANGUAGES,
    "torn-streams": streams.TORN,
    "changing-pids": streams.CHANGING_PIDS,
    "changing-kinds": streams.CHANGING_KINDS,
    "dvd-cells": streams.CELLS,
    "dv": dv.DV,
    "damaged-flv": damaged_flv.DAMAGED,
    "edit-lists": boxes.EDITS,
    "fragments": boxes.FRAGMENTS,
}
