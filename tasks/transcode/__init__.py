"""Media engine that transcodes a video file to CMAF for HLS and DASH, one unit at a time.

The packages follow the order of processing: `probe` reads a source, `plan` lays out the output
timeline and divides it into units, `encode` encodes one unit, `package` writes the playlists and
the manifest, `verify` checks them. `mp4` and `sandbox` serve the others. The engine depends on no
database, queue or cloud service; `python -m tasks.transcode` runs it on its own.
"""

from __future__ import annotations

from .encode.audio import encode_audio
from .encode.video import encode_video
from .errors import (
    AUDIO_UNIT,
    EncodeError,
    EncoderCrashedError,
    InconsistentOutputError,
    InputRejectedError,
    InputSuspectError,
    SeamMismatchError,
    StoppedError,
    TranscodeError,
    UnitKey,
)
from .outputs import MediaFile, SeamSums, Segment, UnitOutput
from .package.manifest import Publication, PublishedFile
from .package.publication import build_publication
from .plan.cost import check_cost, encode_cost_s
from .plan.ladder import Rung
from .plan.plan import AudioPlan, Plan, VideoUnit
from .plan.planning import make_plan
from .plan.profile import PROFILES, Profile, ProfileRung, site_profiles
from .probe.probe import probe_source
from .sandbox.walls import Walls, landlock_abi, try_walls
from .source import AudioSource, KeyFrame, SourceInfo
from .source_warnings import SOURCE_WARNINGS
from .verify.decode import undecodable_units
from .verify.objects import BadPlaylist, BadUnit, verify_playlists, verify_publication

__all__ = [
    "AUDIO_UNIT",
    "PROFILES",
    "SOURCE_WARNINGS",
    "AudioPlan",
    "AudioSource",
    "BadPlaylist",
    "BadUnit",
    "EncodeError",
    "EncoderCrashedError",
    "InconsistentOutputError",
    "InputRejectedError",
    "InputSuspectError",
    "KeyFrame",
    "MediaFile",
    "Plan",
    "Profile",
    "ProfileRung",
    "Publication",
    "PublishedFile",
    "Rung",
    "SeamMismatchError",
    "SeamSums",
    "Segment",
    "SourceInfo",
    "StoppedError",
    "TranscodeError",
    "UnitKey",
    "UnitOutput",
    "VideoUnit",
    "Walls",
    "build_publication",
    "check_cost",
    "encode_audio",
    "encode_cost_s",
    "encode_video",
    "landlock_abi",
    "make_plan",
    "probe_source",
    "site_profiles",
    "try_walls",
    "undecodable_units",
    "verify_playlists",
    "verify_publication",
]
