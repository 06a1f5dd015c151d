"""Which audio tracks of a source are published, which are microphones of one programme, and how they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..languages import language_of, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction

    from ..source import AudioSource

COMMENTARY, DESCRIPTION = "commentary", "description"
"""Purposes of audio tracks: comments on the video; a description of what it shows, for the blind."""

_SUFFIXES = {"": "", COMMENTARY: " (commentary)", DESCRIPTION: " (audio description)"}

_WHOLE_PROGRAMME = 0.9
"""Share of the programme that a microphone must record: recorders start and stop all of them together."""

_MICROPHONES = 2
"""On cameras and field recorders, the first two tracks are the programme, and the others are spare microphones,
at another distance, which arrives later: mixed, the two would cancel out some frequencies. See docs/adr/0044.
"""


class Selection(NamedTuple):
    """Groups of tracks, each to be one track of the output; and those left out."""

    kept: tuple[tuple[AudioSource, ...], ...]
    silent: tuple[AudioSource, ...]
    spare: tuple[AudioSource, ...]
    """Microphones with audio."""


def select_tracks(tracks: Sequence[AudioSource], programme_s: tuple[Fraction, Fraction]) -> Selection:
    """Return which tracks are published: those with audio, or if all are silent, the default one.

    Tracks that are microphones of one programme, from one time to another (`programme_s`), become one.
    """
    audible = [track for track in tracks if not track.is_silent]
    kept: tuple[tuple[AudioSource, ...], ...]
    if not audible:
        kept = tuple((track,) for track in tracks if track is default_of(tracks))
    elif _are_microphones(tracks, programme_s):
        pairs = (tracks[at : at + _MICROPHONES] for at in range(0, len(tracks), _MICROPHONES))
        with_audio = (tuple(track for track in pair if track in audible) for pair in pairs)
        kept = (next(pair for pair in with_audio if pair),)
    else:
        kept = tuple((track,) for track in audible)
    left_out = [track for track in tracks if not any(track in group for group in kept)]
    return Selection(
        kept,
        silent=tuple(track for track in left_out if track not in audible),
        spare=tuple(track for track in left_out if track in audible),
    )


def _are_microphones(tracks: Sequence[AudioSource], programme_s: tuple[Fraction, Fraction]) -> bool:
    """Return whether all tracks have one channel, and all of them are described alike."""
    start_s, end_s = programme_s
    least_s = (end_s - start_s) * _WHOLE_PROGRAMME
    return (
        len(tracks) > 1
        and all(track.channels == 1 and not track.purpose for track in tracks)
        and len({(language_of(track.language).tag, track.title) for track in tracks}) == 1
        and all(min(end_s, track.end_s) - max(start_s, track.start_s) >= least_s for track in tracks)
    )


def default_of(tracks: Iterable[AudioSource]) -> AudioSource:
    """Return the track that is played unless viewers choose another one.

    That is the first one that the container declares as such, else the first one; neither a commentary
    nor a description unless all are.
    """
    return min(tracks, key=lambda track: (bool(track.purpose), not track.is_default))


def names_of(tracks: Sequence[AudioSource]) -> tuple[str, ...]:
    """Return a name for each track, to be shown in a player's menu: its language, its title, or both.

    A title alone, such as "Stereo", would not name the language.
    """
    names: list[str] = []
    for track in tracks:
        language, title = language_of(track.language).name, track.title.strip()
        if language and title and language.casefold() not in title.casefold():
            name = f"{language} ({title})"
        else:
            name = title or (language or "Audio") + _SUFFIXES[track.purpose]
        names.append(unique_name(name, taken=names, otherwise="Audio"))
    return tuple(names)
