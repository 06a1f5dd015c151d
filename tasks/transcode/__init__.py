"""The media engine: makes adaptive streaming (CMAF, HLS) from a video file, one unit at a time.

Follow it in the order of work: `probe` reads a source, `planning` lays the grid of frames and cuts it into units,
`encode` and `audio` do one unit each, `publication` writes playlists and manifest, `verify` proves them. It knows no
database, no queue and no cloud; `python -m tasks.transcode` runs it alone.
"""

from __future__ import annotations

from tasks.transcode.audio import encode_audio
from tasks.transcode.decode_check import undecodable_units
from tasks.transcode.encode import encode_video
from tasks.transcode.errors import (
    AUDIO_UNIT,
    EncodeFailed,
    InconsistentOutput,
    InputRefused,
    SeamMismatch,
    Stopped,
    TranscodeError,
    UnitKey,
)
from tasks.transcode.ladder import Rung
from tasks.transcode.manifest import Publication, PublishedFile
from tasks.transcode.outputs import MediaFile, SeamSums, Segment, UnitOutput
from tasks.transcode.plan import AudioPlan, Plan, VideoUnit
from tasks.transcode.planning import make_plan
from tasks.transcode.preview import build_preview
from tasks.transcode.probe import probe_source
from tasks.transcode.profile import PROFILES, Profile, ProfileRung
from tasks.transcode.publication import build_publication
from tasks.transcode.remux import remux
from tasks.transcode.source import AudioSource, KeyFrame, SourceInfo
from tasks.transcode.source_warnings import SOURCE_WARNINGS
from tasks.transcode.verify import BadPlaylist, BadUnit, verify_playlists, verify_publication

__all__ = [
    "AUDIO_UNIT",
    "PROFILES",
    "SOURCE_WARNINGS",
    "AudioPlan",
    "AudioSource",
    "BadPlaylist",
    "BadUnit",
    "EncodeFailed",
    "InconsistentOutput",
    "InputRefused",
    "KeyFrame",
    "MediaFile",
    "Plan",
    "Profile",
    "ProfileRung",
    "Publication",
    "PublishedFile",
    "Rung",
    "SeamMismatch",
    "SeamSums",
    "Segment",
    "SourceInfo",
    "Stopped",
    "TranscodeError",
    "UnitKey",
    "UnitOutput",
    "VideoUnit",
    "build_preview",
    "build_publication",
    "encode_audio",
    "encode_video",
    "make_plan",
    "probe_source",
    "remux",
    "undecodable_units",
    "verify_playlists",
    "verify_publication",
]
