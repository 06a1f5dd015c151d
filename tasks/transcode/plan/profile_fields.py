"""Profiles as data: a site's own ones, read from its settings, and the form that a job stores.

Every fault of every profile is found at once, each with a stable code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any

from .grid.frame_rate import MAX_RATE
from .ladder import MAX_BUFFER_BITS, MAX_FRAME_PX, buffer_bits, cap_bps
from .profile import LOOK_AHEAD_FRAMES, PROFILES, Profile, ProfileRung

EXTENDS = "extends"
"""Names the profile from which one takes all fields that it does not have itself."""

DEFAULT_BASE = "standard"
"""The profile that is extended if none is named."""

MAX_NAME = 50
"""Characters of a name: as many as the job's column has."""


class FaultKind(StrEnum):
    """What is wrong with a profile."""

    NAME = "PROFILE_NAME"
    FIELD = "PROFILE_FIELD"
    """A field that does not exist, or one that is missing."""
    VALUE = "PROFILE_VALUE"
    """A value of the wrong type, or out of its range."""
    PRESET = "PROFILE_PRESET"
    EXTENDS = "PROFILE_EXTENDS"
    """The profile to extend does not exist, or extends this one."""
    SIZES = "PROFILE_SIZES"
    """Odd sizes, or not in the order of their size."""
    CAPS = "PROFILE_CAPS"
    """The bit rate ceiling of a rung is not less than that of the next larger one."""
    SEGMENT = "PROFILE_SEGMENT"
    """The GOP does not divide the segment."""
    LEVEL = "PROFILE_LEVEL"
    """More than H.264 level 4.2 has: frame size, frame rate or bit rate."""


@dataclass(frozen=True)
class ProfileFault:
    """One fault: the profile's name, a code, and a text that names the field."""

    profile: str
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"profile {self.profile!r}: {self.text} [{self.kind}]"


class ProfileError(ValueError):
    """Profiles that cannot be used, with all of their faults."""

    def __init__(self, faults: list[ProfileFault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


_RANGES: dict[str, tuple[float, float]] = {
    "short_side_px": (2, 4320),
    "crf": (0, 51),
    "maxrate_bps": (50_000, 100_000_000),
    # With less than twice the least rate of the grid, half of a rate could be below that.
    "max_rate_fps": (20, 1000),
    "warm_up_gops": (0, 10),
    "look_ahead_frames": (0, 250),
    "gop_s": (0.5, 10),
    "segment_s": (0.5, 30),
    "unit_segments": (1, 1000),
    "shared_unit_segments": (1, 1000),
    "audio_bps": (32_000, 320_000),
    "loudness_lufs": (-40, -10),
    "audio_head_s": (1, 3600),
    "thumbnail_s": (1, 600),
}
"""Field -> least and greatest value."""

_KINDS = {field.name: str(field.type) for field in fields(Profile) if field.name != "name"}
_RUNG_KINDS = {field.name: str(field.type) for field in fields(ProfileRung)}
_REQUIRED = {field.name for field in fields(Profile) if field.default is MISSING}

_SLACK = 1e-6
"""Of a number of GOPs in a segment: 5.76 / 1.92 is not exactly 3."""


def site_profiles(own: Mapping[str, Any]) -> dict[str, Profile]:
    """Return the built-in profiles and a site's own, by name; its own replace built-in ones.

    `own` is name -> fields of Profile, of which `rungs` is a list of mappings with the fields of
    ProfileRung, largest first. All other fields are those of the profile that `extends` names, by
    default `standard`; a profile that extends its own name extends the built-in one. With `preset`,
    `look_ahead_frames` is that preset's unless it is given too. Raises ProfileError.
    """
    found: dict[str, Profile | None] = {}
    faults: list[ProfileFault] = []
    for name in own:
        _find(name, own, found, faults, path=())
    if faults:
        raise ProfileError(faults)
    return PROFILES | {name: profile for name, profile in found.items() if profile is not None}


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """Return all fields of a profile in a form that JSON can express."""
    return asdict(profile) | {"rungs": [asdict(rung) for rung in profile.rungs]}


def profile_from_json(form: Mapping[str, Any]) -> Profile:
    """Return the profile that profile_to_json was given, before or after JSON.

    A field that it lacks, because an older version wrote it, gets this version's default. Raises
    ProfileError for a field that this version does not have, and for all other faults.
    """
    name = str(form.get("name", ""))
    given = {field: value for field, value in form.items() if field != "name"}
    values, faults = _values(name, given)
    if missing := _REQUIRED - {"name"} - set(given):
        faults.append(ProfileFault(name, FaultKind.FIELD, f"it has no {', '.join(sorted(missing))}"))
    if not faults:
        profile = Profile(name=name, **values)
        faults = list(_faults_of(profile))
    if faults:
        raise ProfileError(faults)
    return profile


def _find(
    name: str,
    own: Mapping[str, Any],
    found: dict[str, Profile | None],
    faults: list[ProfileFault],
    *,
    path: tuple[str, ...],
) -> Profile | None:
    """Return the profile of this name, and add it and its faults; None if it has any, or does not exist.

    `path` are the profiles that extend it.
    """
    if name in found:
        return found[name]
    if name not in own:
        return PROFILES.get(name)
    found[name] = None
    given = own[name]
    if not isinstance(given, Mapping):
        faults.append(ProfileFault(str(name), FaultKind.VALUE, f"it is {given!r}, not a dictionary of fields"))
        return None
    values, wrong = _values(name, {field: value for field, value in given.items() if field != EXTENDS})
    base_name = given.get(EXTENDS, DEFAULT_BASE)
    base: Profile | None = None
    if base_name == name and name in PROFILES:
        base = PROFILES[name]
    elif base_name in (name, *path):
        circle = " extends ".join(repr(each) for each in (*path, name, base_name))
        wrong.append(ProfileFault(name, FaultKind.EXTENDS, f"{circle}, which is a circle"))
    elif not isinstance(base_name, str) or (base_name not in own and base_name not in PROFILES):
        names = ", ".join(sorted({*PROFILES, *map(str, own)} - {name}))
        wrong.append(ProfileFault(name, FaultKind.EXTENDS, f"it extends {base_name!r}, which is not one of {names}"))
    else:
        base = _find(base_name, own, found, faults, path=(*path, name))
    if base is not None and not wrong:
        profile = replace(base, name=name, **values)
        wrong = list(_faults_of(profile))
        found[name] = None if wrong else profile
    faults += wrong
    return found[name]


def _values(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[ProfileFault]]:
    """Return the values of fields as Profile has them, and the faults of single fields."""
    faults = [] if _is_name(name) else [ProfileFault(str(name), FaultKind.NAME, _NAME_RULE)]
    faults += [ProfileFault(name, kind, text) for kind, text in _field_faults(given, _KINDS)]
    values = dict(given)
    if "preset" in given:
        if given["preset"] in LOOK_AHEAD_FRAMES:
            values.setdefault("look_ahead_frames", LOOK_AHEAD_FRAMES[given["preset"]])
        else:
            text = f"preset is {given['preset']!r}, not one of {', '.join(LOOK_AHEAD_FRAMES)}"
            faults.append(ProfileFault(name, FaultKind.PRESET, text))
    if "rungs" in given:
        rungs = given["rungs"]
        if isinstance(rungs, list | tuple) and rungs and all(isinstance(each, Mapping) for each in rungs):
            wrong = [fault for each in rungs for fault in _rung_faults(each)]
            faults += [ProfileFault(name, kind, text) for kind, text in wrong]
            values["rungs"] = () if wrong else tuple(ProfileRung(**each) for each in rungs)
        else:
            text = f"rungs is {rungs!r}, not a list of objects with {', '.join(_RUNG_KINDS)}"
            faults.append(ProfileFault(name, FaultKind.VALUE, text))
    return values, faults


_NAME_RULE = f"a name is a text of 1 to {MAX_NAME} printable characters without spaces"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable() and " " not in name


def _rung_faults(given: Mapping[str, Any]) -> Iterator[tuple[FaultKind, str]]:
    yield from _field_faults(given, _RUNG_KINDS)
    if missing := set(_RUNG_KINDS) - set(given):
        yield FaultKind.FIELD, f"the rung {dict(given)} has no {', '.join(sorted(missing))}"


def _field_faults(given: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[tuple[FaultKind, str]]:
    """Yield what is wrong with single fields: unknown ones, wrong types, numbers out of their range."""
    if unknown := set(given) - set(kinds):
        names = ", ".join(sorted(map(str, unknown)))
        yield FaultKind.FIELD, f"there is no field {names}; known are {', '.join(sorted(kinds))}"
    for field, value in given.items():
        kind = kinds.get(field, "")
        if value is None and kind.endswith(" | None"):
            continue
        kind = kind.removesuffix(" | None")
        if kind == "bool" and not isinstance(value, bool):
            yield FaultKind.VALUE, f"{field} is {value!r}, not true or false"
        if kind in {"int", "float"}:
            least, greatest = _RANGES[field]
            allowed = int if kind == "int" else (int, float)
            if isinstance(value, bool) or not isinstance(value, allowed) or not least <= value <= greatest:
                number = "a whole number" if kind == "int" else "a number"
                yield FaultKind.VALUE, f"{field} is {value!r}, not {number} from {least:g} to {greatest:g}"


def _faults_of(profile: Profile) -> Iterator[ProfileFault]:
    """Yield the faults of fields that do not fit each other."""
    sides = [rung.short_side_px for rung in profile.rungs]
    if odd := [side for side in sides if side % 2]:
        text = f"short_side_px is {', '.join(map(str, odd))}; H.264 in 4:2:0 needs even numbers"
        yield ProfileFault(profile.name, FaultKind.SIZES, text)
    if sides != sorted(set(sides), reverse=True):
        text = f"rungs must be in the order of their size, largest first, each size once: {sides}"
        yield ProfileFault(profile.name, FaultKind.SIZES, text)
    else:
        for larger, smaller in zip(profile.rungs, profile.rungs[1:], strict=False):
            if smaller.maxrate_bps >= larger.maxrate_bps:
                text = (
                    f"maxrate_bps of the rung with {smaller.short_side_px} px is {smaller.maxrate_bps}, not less than the"
                    f" {larger.maxrate_bps} of the one with {larger.short_side_px} px"
                )
                yield ProfileFault(profile.name, FaultKind.CAPS, text)
    gops = profile.segment_s / profile.gop_s
    if round(gops) < 1 or abs(gops - round(gops)) > _SLACK:
        text = f"segment_s is {profile.segment_s:g}, not a whole number of GOPs of gop_s = {profile.gop_s:g}"
        yield ProfileFault(profile.name, FaultKind.SEGMENT, text)
    for text in _level_faults(profile):
        yield ProfileFault(profile.name, FaultKind.LEVEL, text)


def _level_faults(profile: Profile) -> Iterator[str]:
    if profile.max_rate_fps > MAX_RATE:
        yield (
            f"max_rate_fps is {profile.max_rate_fps}, more than {MAX_RATE}: H.264 level 4.2 has 64 frames per second in"
            " 1080p, and Apple's HLS authoring specification ends at 60"
        )
    for rung in profile.rungs:
        long_px = round(rung.short_side_px * 16 / 9 / 2) * 2
        if long_px * rung.short_side_px > MAX_FRAME_PX:
            yield (
                f"short_side_px is {rung.short_side_px}, in 16:9 {long_px}x{rung.short_side_px}: more than the 1920x1088 of"
                " H.264 level 4.2, so nothing would be encoded in that size"
            )
        ceiling_bps = cap_bps(rung.maxrate_bps, Fraction(profile.max_rate_fps))
        if buffer_bits(ceiling_bps) > MAX_BUFFER_BITS:
            yield (
                f"maxrate_bps is {rung.maxrate_bps}, so the buffer at {profile.max_rate_fps} frames per second has"
                f" {buffer_bits(ceiling_bps)} bits: more than the {MAX_BUFFER_BITS} of H.264 level 4.2"
            )
