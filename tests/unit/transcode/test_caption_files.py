"""Caption files that people upload keep their text, times and markup, whatever format and encoding they have."""

from __future__ import annotations

import pytest

from tasks.transcode.caption_files.faults import CaptionFileError
from tasks.transcode.caption_files.read import MAX_CUE_CHARS, MAX_FILE_BYTES, preview, read_caption_file

HEAD = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n"
SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n\n2\n00:00:03,000 --> 00:00:04,000\nLast\n"
KOREAN = "안녕하세요, 강의를 시작합니다"


def read(text: str | bytes, language: str = "en") -> str:
    """Return the file as WebVTT without its head."""
    content = text.encode() if isinstance(text, str) else text
    made = read_caption_file(content, language=language).webvtt
    assert made.startswith(HEAD)
    return made.removeprefix(HEAD)


def fault(content: bytes | str, language: str = "en") -> tuple[str, int, str]:
    with pytest.raises(CaptionFileError) as raised:
        read_caption_file(content.encode() if isinstance(content, str) else content, language=language)
    return raised.value.code, raised.value.line, raised.value.value


def test_subrip_keeps_text_and_markup_when_it_has_tags_and_entities() -> None:
    assert read(SRT.format("<i>A &amp; B</i> <font color=red>C</font>\n{\\an8}<b>1 < 2</b> R&D")) == (
        "\n00:00:01.000 --> 00:00:02.500\n<i>A &amp; B</i> C\n<b>1 &lt; 2</b> R&amp;D\n"
        "\n00:00:03.000 --> 00:00:04.000\nLast\n"
    )


def test_cues_are_in_the_order_of_their_beginnings_when_the_file_has_another() -> None:
    first, last = SRT.format("First").split("\n\n")
    assert read(f"{last}\n{first}\n") == read(f"{first}\n\n{last}")


def test_subrip_keeps_a_number_when_it_is_the_last_line() -> None:
    assert read("1\n00:00:01,000 --> 00:00:02,000\nThe answer is\n42\n").endswith("The answer is\n42\n")


def test_subrip_keeps_a_line_when_it_contains_two_times() -> None:
    assert "\nFrom 10:00:00,000 to 11:00:00,000\n" in read(SRT.format("From 10:00:00,000 to 11:00:00,000"))


def test_subrip_is_read_in_time_when_it_has_many_empty_lines_and_open_tags() -> None:
    # Quadratic in pysubs2: minutes.
    assert read(SRT.format("a" + "\n" * 200_000 + "b")).count("\n") < 20
    assert fault(SRT.format("<a" * 200_000)) == ("CAPTIONS_CUE_TOO_LONG", 2, "")


@pytest.mark.parametrize("number", [2, 6])
def test_subrip_is_refused_with_the_line_when_a_time_cannot_be_read(number: int) -> None:
    lines = SRT.format("Text").split("\n")
    lines[number - 1] = "00:00:01,000 --> soon"
    assert fault("\n".join(lines)) == ("CAPTIONS_TIME", number, "00:00:01,000 --> soon")


def test_subrip_keeps_all_cues_when_an_arrow_is_mistyped() -> None:
    mistyped = SRT.format("Text").replace("-->", "->", 1)
    assert read(mistyped) == read(SRT.format("Text"))
    assert read(mistyped.replace("-->", "=>")) == read(SRT.format("Text"))


def test_subrip_is_refused_with_the_line_when_text_would_be_lost() -> None:
    assert fault("My captions\n\n" + SRT.format("Text")) == ("CAPTIONS_TIME", 1, "My captions")


def test_file_is_refused_with_the_line_when_a_cue_ends_before_it_begins() -> None:
    assert fault(SRT.replace("00:00:04,000", "00:00:02,000")) == ("CAPTIONS_ORDER", 6, "")


ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,2,2,10,10,10,1
Style: Thought,Arial,20,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,-1,0,0,100,100,0,0,1,2,2,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\pos(10,10)}Second{a note},{\\b1} bold{\\b0}\\Nline & <x>
Comment: 0,0:00:00.00,0:00:05.00,Default,,0,0,0,,Not shown
Dialogue: 0,0:00:01.50,0:00:02.00,Thought,,0,0,0,,A {\\i0}thought{\\r} here
Dialogue: 0,0:00:07.00,0:00:08.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
"""


def test_substation_keeps_dialogue_and_markup_when_it_has_comments_and_drawings() -> None:
    assert read(ASS) == (
        "\n00:00:01.500 --> 00:00:02.000\n<i>A </i>thought<i> here</i>\n"
        "\n00:00:05.000 --> 00:00:06.000\nSecond,<b> bold</b>\nline &amp; &lt;x&gt;\n"
    )


def test_substation_is_refused_with_the_line_when_a_time_cannot_be_read() -> None:
    assert fault(ASS.replace("0:00:01.50", "later"))[:2] == ("CAPTIONS_TIME", 13)


def test_substation_is_refused_when_a_style_cannot_be_read() -> None:
    assert fault(ASS.replace("&H000000FF", "blue", 1))[0] == "CAPTIONS_STYLES"


def test_webvtt_keeps_settings_voices_and_styles_when_it_has_notes() -> None:
    assert read(
        "\ufeffWEBVTT - Lecture\r\nKind: captions\r\n\r\nSTYLE\r\n::cue(i) { color: lime }\r\n\r\nNOTE one\r\n\r\n"
        "intro\r\n00:01.000 --> 00:02.000 line:0 align:start junk\r\n<v Ada>Hello &amp; <i>welcome</i>\r\n\r\n"
        "NOTE two\nlines\n\n100:00:00.000 --> 100:00:01.000\nLate\n"
    ) == (
        "\nSTYLE\n::cue(i) { color: lime }\n"
        "\n00:00:01.000 --> 00:00:02.000 line:0 align:start\n<v Ada>Hello &amp; <i>welcome</i>\n"
        "\n100:00:00.000 --> 100:00:01.000\nLate\n"
    )


def test_captions_can_be_stored_when_the_file_contains_nul() -> None:
    made = read("WEBVTT\n\nSTYLE\n::cue { \0 }\n\n00:01.000 --> 00:02.000 line:\x000\n<v A\0>Text\0\n")
    assert made == "\nSTYLE\n::cue {  }\n\n00:00:01.000 --> 00:00:02.000 line:0\n<v A>Text\n"


def test_webvtt_is_the_same_when_it_is_read_again() -> None:
    once = read_caption_file(ASS.encode(), language="en").webvtt
    assert read_caption_file(once.encode(), language="en").webvtt == once


def test_webvtt_is_refused_with_the_line_when_a_time_cannot_be_read() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n\n2\n00:0x.000 --> 00:04.000\nB\n"
    assert fault(text) == ("CAPTIONS_TIME", 7, "00:0x.000 --> 00:04.000")


@pytest.mark.parametrize(
    ("codec", "language", "encoding", "is_certain"),
    [
        ("utf-8", "en", "UTF-8", True),
        ("utf-8-sig", "en", "UTF-8", True),
        ("utf-16", "en", "UTF-16", True),
        ("utf-16-le", "ko", "UTF-16", True),
        ("utf-16-be", "en", "UTF-16", True),
        ("utf-32", "en", "UTF-32", True),
        ("cp949", "ko", "CP949", False),
        ("cp949", "ko-KR", "CP949", False),
    ],
)
def test_text_is_the_same_when_its_encoding_is_another(
    codec: str, language: str, encoding: str, is_certain: bool
) -> None:
    made = read_caption_file(SRT.format(KOREAN).encode(codec), language=language)
    assert KOREAN in made.webvtt
    assert (made.encoding, made.encoding_is_certain, made.format) == (encoding, is_certain, "SubRip")


@pytest.mark.parametrize(
    ("text", "codec", "language", "encoding"),
    [
        ("Grüße, “so” … 5 €", "cp1252", "de", "Windows-1252"),
        ("Здравствуйте", "cp1251", "ru", "Windows-1251"),
        ("Dzień dobry, źródło", "cp1250", "pl", "Windows-1250"),
        ("講義を始めます", "cp932", "ja", "Shift JIS"),
        ("課程開始", "cp950", "zh-Hant", "Big5"),
        ("课程开始", "gb18030", "zh", "GB 18030"),
    ],
)
def test_encoding_follows_from_the_language_when_the_bytes_do_not_show_it(
    text: str, codec: str, language: str, encoding: str
) -> None:
    made = read_caption_file(SRT.format(text).encode(codec), language=language)
    assert text in made.webvtt
    assert (made.encoding, made.encoding_is_certain) == (encoding, False)


def test_file_is_refused_with_line_and_encoding_when_it_is_not_valid_in_it() -> None:
    assert fault(SRT.format("ok").encode() + b"\xff\xff", "ko") == ("CAPTIONS_ENCODING", 8, "CP949")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "CAPTIONS_EMPTY"),
        (b" \n\n", "CAPTIONS_EMPTY"),
        (b"WEBVTT\n\nNOTE nothing\n", "CAPTIONS_EMPTY"),
        (b"Dear students,\nwelcome.", "CAPTIONS_FORMAT"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "CAPTIONS_FORMAT"),
        (b"a" * (MAX_FILE_BYTES + 1), "CAPTIONS_TOO_LARGE"),
    ],
)
def test_file_is_refused_with_a_code_when_it_has_no_captions(content: bytes, code: str) -> None:
    assert fault(content)[0] == code


def test_cue_is_refused_with_its_line_when_it_is_too_long() -> None:
    assert fault(SRT.format("a" * (MAX_CUE_CHARS + 1))) == ("CAPTIONS_CUE_TOO_LONG", 2, "")


def test_preview_has_plain_text_when_cues_have_markup() -> None:
    made = read_caption_file(SRT.format("<i>A &amp; B</i>").encode(), language="en")
    assert preview(made.webvtt) == [("00:00:01.000", "A & B"), ("00:00:03.000", "Last")]
