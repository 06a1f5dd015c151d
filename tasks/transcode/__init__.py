"""Media engine that transcodes a video file to CMAF for HLS and DASH, one unit at a time.

The packages follow the order of processing: `probe` reads a source, `plan` lays out the output
timeline and divides it into units, `encode` encodes one unit, `package` writes the playlists and
the manifest, `verify` checks them. `mp4` and `sandbox` serve the others. The engine depends on no
database, queue or cloud service; `python -m tasks.transcode` runs it on its own.
"""

from __future__ import annotations

from .byte_ranges import ByteRange, ByteRanges, merged, missing, pieces, total_bytes
from .chapters import ChapterMark
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
    audio_unit,
)
from .outputs import MediaFile, SeamSums, Segment, UnitOutput
from .package.edition import AddedCaptions, Edits, make_edition
from .package.growing import GROWING_NAME, Growing, grow
from .package.manifest import Publication, PublishedFile
from .package.publication import build_publication
from .plan.cost import check_cost, encode_cost_s
from .plan.ladder import Rung
from .plan.plan import PLAN_VERSION, AudioPlan, AudioTrack, AudioUnit, Plan, VideoUnit
from .plan.planning import make_plan
from .plan.profile import PROFILES, PURPOSES, SUMMARY, Profile, ProfileRung, summary
from .plan.profile_fields import (
    FaultKind,
    ProfileError,
    profile_from_json,
    profile_to_json,
    site_profiles,
)
from .plan.source_reads import SourceReads, with_reads
from .probe.probe import probe_source
from .rejections import FEWER_FRAMES, KINDS, MORE_KEY_FRAMES, REJECTIONS, rejection
from .sandbox.ffmpeg import check_packages
from .sandbox.read_guard import HOLE_READ, READS_UNWATCHED, can_guard_reads
from .sandbox.walls import Walls, landlock_abi, try_walls
from .source import AudioSource, KeyFrame, SourceInfo
from .source_warnings import SOURCE_WARNINGS
from .source_warnings import describe as describe_warning
from .source_warnings import split as split_warning
from .verify.decode import verify_media
from .verify.objects import BadPlaylist, BadUnit, verify_playlists, verify_publication

__all__ = [
    "AUDIO_UNIT",
    "FEWER_FRAMES",
    "GROWING_NAME",
    "HOLE_READ",
    "KINDS",
    "MORE_KEY_FRAMES",
    "PLAN_VERSION",
    "PROFILES",
    "PURPOSES",
    "READS_UNWATCHED",
    "REJECTIONS",
    "SOURCE_WARNINGS",
    "SUMMARY",
    "AddedCaptions",
    "AudioPlan",
    "AudioSource",
    "AudioTrack",
    "AudioUnit",
    "BadPlaylist",
    "BadUnit",
    "ByteRange",
    "ByteRanges",
    "ChapterMark",
    "Edits",
    "EncodeError",
    "EncoderCrashedError",
    "FaultKind",
    "Growing",
    "InconsistentOutputError",
    "InputRejectedError",
    "InputSuspectError",
    "KeyFrame",
    "MediaFile",
    "Plan",
    "Profile",
    "ProfileError",
    "ProfileRung",
    "Publication",
    "PublishedFile",
    "Rung",
    "SeamMismatchError",
    "SeamSums",
    "Segment",
    "SourceInfo",
    "SourceReads",
    "StoppedError",
    "TranscodeError",
    "UnitKey",
    "UnitOutput",
    "VideoUnit",
    "Walls",
    "audio_unit",
    "build_publication",
    "can_guard_reads",
    "check_cost",
    "check_packages",
    "describe_warning",
    "encode_audio",
    "encode_cost_s",
    "encode_video",
    "grow",
    "landlock_abi",
    "make_edition",
    "make_plan",
    "merged",
    "missing",
    "pieces",
    "probe_source",
    "profile_from_json",
    "profile_to_json",
    "rejection",
    "site_profiles",
    "split_warning",
    "summary",
    "total_bytes",
    "try_walls",
    "verify_media",
    "verify_playlists",
    "verify_publication",
    "with_reads",
]
