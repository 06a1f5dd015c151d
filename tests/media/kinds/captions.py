"""Captions: inside the frames, in ASS with drawings, forced and for the deaf, in languages named in many ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg
from tests.media.kinds import claps
from tests.media.kinds.claps import clap, with_beeps
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PAIRS = b"\xfc\x94\x20\xfc\x94\x2c"
_MESSAGE = b"GA94\x03" + bytes([0x40 | len(_PAIRS) // 3]) + b"\xff" + _PAIRS + b"\xff"
"""A frame's CEA-608 data (ATSC A/53 part 4, 6.2.3)."""
_T35 = b"\xb5\x00\x31" + _MESSAGE
"""The same for H.264 and HEVC (ITU-T T.35)."""
_START = b"\0\0\1"


def _messages(stream: bytes, video: str, first: int) -> bytes:
    """Return an elementary stream with a message before each frame from number `first` on."""
    units = stream.split(_START)[1:]
    written, frame = [], 0
    for unit in units:
        if video == "libx264" and unit[0] & 0x1F in {1, 5}:
            message = b"\x06\x04" + bytes([len(_T35)]) + _T35 + b"\x80"
        elif video == "libx265" and unit[0] >> 1 & 0x3F < 32:  # a slice (H.265, table 7-1)
            message = b"\x4e\x01\x04" + bytes([len(_T35)]) + _T35 + b"\x80"
        elif video == "mpeg2video" and unit[0] == 1:
            message = b"\xb2" + _MESSAGE
        else:
            written.append(_START + unit)
            continue
        written.append((_START + message if frame >= first else b"") + _START + unit)
        frame += 1
    return b"".join(written)


def _inside(
    name: str, video: Sequence[str], audio: Sequence[str], *options: str, first: int = 0, warned: bool = True
) -> Upload:
    def make(path: Path) -> None:
        form = {"libx264": "h264", "libx265": "hevc", "mpeg2video": "mpeg2video"}[video[1]]
        plain = clap(path.parent / f"plain.{form}", video, (), extra=("-f", form))
        plain.write_bytes(_messages(plain.read_bytes(), video[1], first))
        timed = path.parent / "timed.mkv"
        form = form.replace("mpeg2", "mpeg")
        ffmpeg("-f", form, "-i", str(plain), "-c", "copy", "-bsf:v", "setts=ts=N*40000", str(timed))
        with_beeps(timed, path, audio, claps.beeps(), *options)

    return Upload(name, make, Expected(within_s=0.08, warnings=("CAPTIONS_IN_FRAMES",) if warned else ()))


_MPEG2 = (*claps.MPEG2[:-4], "-bf", "0", "-g", "15")
IN_FRAMES = (
    _inside("h264.mp4", claps.H264, claps.AAC),
    _inside("h264.mov", claps.H264, claps.PCM),
    _inside("h264.mkv", claps.H264, claps.OPUS),
    _inside("h264.ts", claps.H264, claps.AAC),
    _inside("h264.flv", claps.H264, claps.AAC),
    _inside("hevc.mp4", claps.HEVC, claps.AAC),
    _inside("hevc.ts", claps.HEVC, claps.AC3),
    _inside("mpeg2.ts", _MPEG2, claps.AC3),
    _inside("mpeg2.vob", _MPEG2, claps.AC3),
    _inside("mpeg2.mkv", _MPEG2, claps.MP2),
    _inside("h264, from frame 45 on.mp4", claps.H264, claps.AAC, first=45),
    _inside("hevc, from frame 45 on.mkv", claps.HEVC, claps.AAC, first=45),
    _inside("mpeg2, from frame 45 on.ts", _MPEG2, claps.AC3, first=45),
)

_ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 320
PlayResY: 180

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Alignment
Style: Default,Arial,20,&H00FFFFFF,0,0,2
Style: Sign,Arial,20,&H00FFFFFF,0,0,8

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _ass(name: str, *lines: tuple[str, str]) -> Upload:
    """Write lines of ASS, one each half second, each with the cue that it must give; empty for none."""

    def make(path: Path) -> None:
        plain = clap(path.parent / "plain.mkv", claps.H264, claps.AAC)
        events = "".join(
            f"Dialogue: 0,0:00:0{at / 2:.2f},0:00:0{at / 2 + 0.5:.2f},Default,,0,0,0,,{text}\n"
            for at, (text, _) in enumerate(lines)
        )
        (path.parent / "a.ass").write_text(_ASS + events)
        ffmpeg("-i", str(plain), "-i", str(path.parent / "a.ass"), "-map", "0", "-map", "1", "-c", "copy", str(path))

    cues = tuple(cue for _, cue in lines if cue)
    return Upload(name, make, Expected(captions=("Captions 1 []",) if cues else (), cues=cues or None))


ASS = (
    _ass("a drawing.mkv", (r"{\an7\pos(0,0)\p1}m 0 0 l 100 0 100 40 0 40{\p0}", ""), ("words", "words")),
    _ass("drawings of every scale.mkv", (r"{\p4}m 0 0 b 1 1 2 2 3 3", ""), (r"{\p10}m 0 0", ""), ("words", "words")),
    _ass(
        "a drawing and words.mkv", (r"{\p1}m 0 0 l 9 9{\p0}after it", "after it"), (r"before{\p1}m 0 0 l 9 9", "before")
    ),
    _ass("nothing but drawings.mkv", (r"{\p1}m 0 0 l 9 9", ""), (r"{\blur2\p2\c&H0000FF&}m 0 0 s 5 5 c", "")),
    _ass(
        "tags that only begin with p.mkv",
        (r"{\pos(10,20)}placed", "placed"),
        (r"{\pbo5}moved", "moved"),
        (r"{\org(1,2)}turned", "turned"),
    ),
    _ass(
        "comments.mkv", ("Plain {a note}words", "Plain words"), ("{TS: check}Checked", "Checked"), ("{only a note}", "")
    ),
    _ass("a tag inside a comment.mkv", (r"{note \i1 more}slanted", "slanted"), (r"{\i1}x{\i0} y", "x y")),
    _ass("karaoke.mkv", (r"{\k20}Ka{\k30}ra{\kf10}o{\ko5}ke, yes", "Karaoke, yes"), (r"{\K50}one {\k0}two", "one two")),
    _ass("breaks.mkv", (r"one\Ntwo", "one / two"), (r"one\ntwo", "one / two"), (r"a\hb", "a b")),
    _ass(
        "moves and fades.mkv",
        (r"{\move(0,0,9,9)\fad(200,200)}gone", "gone"),
        (r"{\t(0,500,\fs40)}grows", "grows"),
        (r"{\clip(m 0 0 l 9 9)}clipped", "clipped"),
    ),
    _ass("commas and braces.mkv", ("one, two, three", "one, two, three"), (r"a { b", "a { b"), ("c } d", "c } d")),
    _ass(
        "styles reset.mkv",
        (r"{\rSign}a sign{\r} here", "a sign here"),
        (r"{\fnArial\p0}text", "text"),
        (r"{\alpha&HFF&}faint", "faint"),
    ),
)

_SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello\n\n2\n00:00:02,000 --> 00:00:03,500\nagain\n"


def _tracks(name: str, *tracks: tuple[str, str, str], codec: str = "srt") -> Upload:
    """Write text tracks, each with its declared language, its disposition, and the name that it must get."""

    def make(path: Path) -> None:
        webm = path.suffix == ".webm"
        plain = clap(
            path.parent / f"plain{path.suffix}", claps.VP8 if webm else claps.H264, claps.OPUS if webm else claps.AAC
        )
        (path.parent / "a.srt").write_text(_SRT)
        inputs = [argument for _ in tracks for argument in ("-i", str(path.parent / "a.srt"))]
        maps = [argument for at in range(len(tracks)) for argument in ("-map", str(at + 1))]
        marks = [
            argument
            for at, (language, disposition, _) in enumerate(tracks)
            for argument in (f"-metadata:s:s:{at}", f"language={language}", f"-disposition:s:{at}", disposition)
        ]
        ffmpeg("-i", str(plain), *inputs, "-map", "0", *maps, "-c", "copy", "-c:s", codec, *marks, str(path))

    return Upload(name, make, Expected(captions=tuple(track for *_, track in tracks), cues=("Hello", "again")))


PURPOSES = (
    _tracks("forced.mkv", ("eng", "forced", "English (forced) [en] forced"), ("eng", "0", "English [en]")),
    _tracks("sdh.mkv", ("eng", "0", "English [en]"), ("eng", "hearing_impaired", "English (SDH) [en] sdh")),
    _tracks("forced alone.mkv", ("fre", "forced", "Français (forced) [fr] forced")),
    _tracks(
        "default and forced.mkv",
        ("ger", "default+forced", "Deutsch (forced) [de] forced"),
        ("ger", "0", "Deutsch [de]"),
    ),
    _tracks(
        "three of each.mkv",
        ("spa", "forced", "Español (forced) [es] forced"),
        ("spa", "hearing_impaired", "Español (SDH) [es] sdh"),
        ("spa", "0", "Español [es]"),
    ),
    _tracks("two alike.mkv", ("eng", "0", "English [en]"), ("eng", "0", "English 2 [en]")),
    _tracks(
        "two forced.mkv",
        ("eng", "forced", "English (forced) [en] forced"),
        ("jpn", "forced", "日本語 (forced) [ja] forced"),
    ),
    _tracks(
        "forced.mp4", ("eng", "forced", "English (forced) [en] forced"), ("eng", "0", "English [en]"), codec="mov_text"
    ),
    _tracks(
        "sdh.mp4", ("eng", "0", "English [en]"), ("eng", "hearing_impaired", "English (SDH) [en] sdh"), codec="mov_text"
    ),
    _tracks(
        "forced.webm", ("eng", "forced", "English (forced) [en] forced"), ("eng", "0", "English [en]"), codec="webvtt"
    ),
    _tracks("two alike.webm", ("kor", "0", "한국어 [ko]"), ("kor", "0", "한국어 2 [ko]"), codec="webvtt"),
    _tracks(
        "without a language.mkv", ("und", "forced", "Captions 1 (forced) [] forced"), ("und", "0", "Captions 2 []")
    ),
)
LANGUAGES = (
    _tracks(
        "bibliographic.mkv", ("ger", "0", "Deutsch [de]"), ("fre", "0", "Français [fr]"), ("chi", "0", "中文 [zh]")
    ),
    _tracks(
        "terminological.mkv", ("deu", "0", "Deutsch [de]"), ("fra", "0", "Français [fr]"), ("zho", "0", "中文 [zh]")
    ),
    _tracks("two letters.mkv", ("de", "0", "Deutsch [de]"), ("cs", "0", "Čeština [cs]"), ("is", "0", "Íslenska [is]")),
    _tracks(
        "regions.mkv", ("pt-BR", "0", "Português (Brasil) [pt-BR]"), ("en-GB", "0", "English (United Kingdom) [en-GB]")
    ),
    _tracks("scripts.mkv", ("zh-Hant", "0", "中文 (繁體) [zh-Hant]"), ("sr-Latn", "0", "Srpski (latinica) [sr-Latn]")),
    _tracks("underscores.mkv", ("pt_BR", "0", "Português (Brasil) [pt-BR]"), ("zh_Hans", "0", "中文 (简体) [zh-Hans]")),
    _tracks("rare ones.mkv", ("cat", "0", "Català [ca]"), ("hrv", "0", "Hrvatski [hr]"), ("gle", "0", "Gaeilge [ga]")),
    _tracks("right to left.mkv", ("ara", "0", "العربية [ar]"), ("heb", "0", "עברית [he]"), ("per", "0", "فارسی [fa]")),
    _tracks("without a short code.mkv", ("fil", "0", "Filipino [fil]"), ("gsw", "0", "Schwiizertüütsch [gsw]")),
    _tracks("in capitals.mkv", ("ENG", "0", "English [en]"), ("DE-at", "0", "Deutsch (Österreich) [de-AT]")),
    _tracks(
        "unknown ones.mkv", ("und", "0", "Captions 1 []"), ("zxx", "0", "Captions 2 []"), ("eng", "0", "English [en]")
    ),
    _tracks(
        "packed.mp4",
        ("ger", "0", "Deutsch [de]"),
        ("kor", "0", "한국어 [ko]"),
        ("ice", "0", "Íslenska [is]"),
        codec="mov_text",
    ),
    _tracks("web.webm", ("cze", "0", "Čeština [cs]"), ("dut", "0", "Nederlands [nl]"), codec="webvtt"),
)
