#!/bin/sh
# ffmpeg: of several lists of chapters in a Matroska file, ffmpeg returns parts of each as one list.
#
# Versions: PyAV 18.1.0 with libavformat 62.
# Expected: the chapters of the default list (RFC 9559, 5.1.7.1.3), without hidden ones.
# Seen:     hidden and disabled chapters are returned like all others. One that begins before the chapter listed before it is left out.
#           Because the next list is compared with the same chapter, the end of a second list is returned behind the first list, although
#           that one is hidden.
# So:       read the element Chapters on your own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import av


def element(kind: str, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes.fromhex(kind) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def number(kind: str, value: int) -> bytes:
    return element(kind, value.to_bytes(8, "big"))


def chapter(uid: int, start_s: int, title: bytes, *flags: bytes) -> bytes:
    display = element("80", element("85", title), element("437c", b"eng"))
    return element("b6", number("73c4", uid), number("91", start_s * 10**9), *flags, display)


def read(*lists: bytes) -> list[str]:
    plain = io.BytesIO()
    with av.open(plain, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=8000)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    content = plain.getvalue()
    cluster = content.index(bytes.fromhex("1f43b675"))
    # The segment's size is made unknown, and its index is made a gap, because both would be wrong.
    size_at = content.index(bytes.fromhex("18538067")) + 4
    head = content[:size_at] + bytes.fromhex("01ffffffffffffff") + content[size_at + 8 : cluster]
    chapters = element("1043a770", *lists)
    with av.open(io.BytesIO(head + chapters + content[cluster:])) as container:
        return [each["metadata"]["title"] for each in container.chapters()]


print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
hidden, disabled, default = number("98", 1), number("4598", 0), number("45db", 1)
one = element("45b9", chapter(1, 0, b"A"), chapter(2, 2, b"hidden", hidden), chapter(3, 1, b"earlier"), chapter(4, 3, b"off", disabled))
print("one list: ", read(one))
first = element("45b9", number("45bd", 1), chapter(1, 0, b"A1"), chapter(2, 2, b"A2"))
second = element("45b9", default, chapter(3, 0, b"B1"), chapter(4, 3, b"B2"), chapter(5, 4, b"B3"))
print("two lists:", read(first, second))
raise SystemExit((read(one), read(first, second)) != (["A", "hidden", "off"], ["A1", "A2", "B2", "B3"]))
PYTHON
