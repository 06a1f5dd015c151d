"""What a master playlist offers next to its variants: audio tracks and captions (RFC 8216bis, 4.4.6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..audio.tracks import COMMENTARY, DESCRIPTION
from ..captions import FORCED, SDH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..captions import CaptionTrack
    from ..plan.plan import AudioTrack
    from .tracks import Track

_DESCRIBES_VIDEO = "public.accessibility.describes-video"
_FOR_THE_DEAF = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
"""RFC 8216bis, 4.4.6.1: characteristics of audio for the blind, and of captions for the deaf and hard of hearing."""


@dataclass(frozen=True)
class Rendition:
    """An audio track with its files, and the name of its playlist."""

    about: AudioTrack
    track: Track

    @property
    def playlist(self) -> str:
        """Name of its playlist."""
        return f"{self.track.name}.m3u8"


@dataclass(frozen=True)
class PlacedCaptions:
    """A caption track with the URLs of its WebVTT file and of the playlist that contains that file."""

    track: CaptionTrack
    url: str
    playlist: str
    bytes: int


def default_rendition(audio: Sequence[Rendition]) -> Rendition | None:
    """Return the one that is played unless viewers choose another one; None without audio."""
    return next((each for each in audio if each.about.is_default), None)


def audio_lines(audio: Sequence[Rendition]) -> list[str]:
    """Return the tags of the group `audio`.

    Players may choose a track by themselves that has AUTOSELECT. These must differ in language or
    characteristics (4.4.6.1.1), so of several alike only one has it: the default one, or else the first.
    Commentaries are for viewers to choose, and so is what may be in any language.
    """
    ranked = sorted(audio, key=lambda each: not each.about.is_default)
    automatic: dict[tuple[str, str], Rendition] = {}
    for each in ranked:
        about = each.about
        if about.is_default or (about.language and about.purpose != COMMENTARY):
            automatic.setdefault((about.language, _characteristics(about)), each)
    return [_audio_line(each, is_automatic=each in automatic.values()) for each in audio]


def _characteristics(about: AudioTrack) -> str:
    return _DESCRIBES_VIDEO if about.purpose == DESCRIPTION else ""


def _audio_line(each: Rendition, *, is_automatic: bool) -> str:
    about = each.about
    language = f'LANGUAGE="{about.language}",' if about.language else ""
    characteristics = f'CHARACTERISTICS="{_characteristics(about)}",' if _characteristics(about) else ""
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="{about.name}",{language}{characteristics}'
        f"DEFAULT={_yes_or_no(about.is_default)},AUTOSELECT={_yes_or_no(is_automatic)},"
        f'CHANNELS="2",URI="{each.playlist}"'
    )


def caption_line(placed: PlacedCaptions) -> str:
    """Return the tag of a caption track, in the group `captions`."""
    language = f'LANGUAGE="{placed.track.language}",' if placed.track.language else ""
    purpose = placed.track.purpose
    characteristics = f'CHARACTERISTICS="{_FOR_THE_DEAF}",' if purpose == SDH else ""
    return (
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="{placed.track.name}",{language}{characteristics}'
        f'DEFAULT=NO,AUTOSELECT=YES,FORCED={_yes_or_no(purpose == FORCED)},URI="{placed.playlist}"'
    )


def _yes_or_no(value: bool) -> str:  # noqa: FBT001  # its only argument
    return "YES" if value else "NO"
