"""Canaries: a local file and a local server that must not be touched, and files that make a careless reader do so."""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

from tests.media.clips import ffmpeg, make_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VOLUME = b"Disk"


class Canaries:
    """A FIFO and a listening socket on loopback, which record readers of the FIFO and connections to the socket."""

    def __init__(self, folder: Path) -> None:
        """Create both; `with` watches the FIFO and closes both at the end."""
        self.path = folder / "canary.ts"
        os.mkfifo(self.path)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self._opened = threading.Event()
        self._over = False
        # Opening it for writing blocks until a reader opens it.
        self._watch = threading.Thread(target=self._await_reader, daemon=True)

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/canary.ts"

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        self._watch.join()
        self._listener.close()

    def touched(self) -> list[str]:
        """Return what was touched so far: `file`, `server`, both or none."""
        return ["file"] * self._opened.is_set() + ["server"] * self._was_connected()

    def _await_reader(self) -> None:
        os.close(os.open(self.path, os.O_WRONLY))
        if not self._over:
            self._opened.set()

    def _was_connected(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def _playlist(target: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9.0,\n{target}\n#EXT-X-ENDLIST\n".encode()


def _byte_range_playlist(target: str) -> bytes:
    """Return the playlist of CVE-2016-1897: it concatenates lines of a local file to a URL."""
    return (
        f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9.0,\nconcat:{target}|subfile,,start,0,end,64,,:{target}\n".encode()
    )


def _master(target: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode()


def _script(target: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{target}'\n".encode()


def _svg(target: str) -> bytes:
    image = f'<image href="{target}" xlink:href="{target}" width="64" height="64"/>'
    return f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">{image}</svg>'.encode()


def _session(target: str) -> bytes:
    """Return an SDP session, which makes a reader open ports."""
    return (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nu={target}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n".encode()
    )


def _dash(target: str) -> bytes:
    track = f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT9S"'
        f'><Period><AdaptationSet mimeType="video/mp4">{track}</AdaptationSet></Period></MPD>'
    ).encode()


def _asx(target: str) -> bytes:
    return f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>'.encode()


def _behind(head: bytes) -> Callable[[str], bytes]:
    """Return a function that prepends a video's first bytes to a playlist, so that the file looks like a video."""
    return lambda target: head + b"\n" + _playlist(target)


SCRIPTS: dict[str, Callable[[str], bytes]] = {
    "HLS playlist": _playlist,
    "HLS playlist with byte ranges": _byte_range_playlist,
    "HLS master": _master,
    "ffconcat": _script,
    "SVG": _svg,
    "SDP": _session,
    "DASH": _dash,
    "ASX": _asx,
    "playlist after an MP4 header": _behind(b"\0\0\0\x10ftypisom\0\0\0\0"),
    "playlist after a Matroska header": _behind(b"\x1a\x45\xdf\xa3\x80"),
    "playlist after an AVI header": _behind(b"RIFF\xff\xff\0\0AVI "),
    "playlist after an Ogg header": _behind(b"OggS"),
    "playlist after an FLV header": _behind(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"),
    "playlist after a PS header": _behind(b"\0\0\x01\xba"),
    "playlist as TS packets": lambda target: b"".join(
        b"\x47" + _playlist(target).ljust(187, b"\n")[:187] for _ in range(40)
    ),
}
"""By name: functions that return the content of a file that refers to a target, a path or a URL."""


def avi_with_playlist(path: Path, target: str) -> None:
    """Write an AVI whose text track is a playlist: CVE-2017-9993."""
    make_clip(path, frames=10, codec=("-c:v", "mpeg4"), audio_s=0.3, extra=("-c:a", "pcm_s16le"))
    content = bytearray(path.read_bytes())
    # The audio becomes the text track: a stream header declares its type, and data carries its
    # number and type.
    at = content.index(b"auds", content.index(b"strh"))
    content[at : at + 8] = b"txts\0\0\0\0"
    playlist = _playlist(target)
    text = b"GAB2\0\x02\0\x02\0\0\0\0\0\x04\0" + struct.pack("<I", len(playlist)) + playlist
    at = content.index(b"01wb", content.index(b"movi"))
    (size,) = struct.unpack_from("<I", content, at + 4)
    assert len(text) <= size
    content[at : at + 4] = b"01tx"
    content[at + 8 : at + 8 + size] = text.ljust(size, b"\n")
    path.write_bytes(content.replace(b"01wb", b"01tx"))


def mov_with_outside_data(path: Path, target: str) -> None:
    """Write a MOV whose samples are in another file, given by its absolute path (QuickTime's alias record)."""
    make_clip(path, frames=10)
    location = target.encode()
    name = location.rpartition(b"/")[2][:63]
    record = bytes(10) + bytes([len(_VOLUME)]) + _VOLUME.ljust(27, b"\0") + bytes(12) + bytes([len(name)])
    # How many levels the folders of the two files differ, then the parts of the record: 2 is the
    # absolute path.
    record += name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    location = _VOLUME + location.replace(b"/", b":")
    record += (
        struct.pack(">HH", 2, len(location))
        + location.ljust(len(location) + len(location) % 2, b"\0")
        + b"\xff\xff\0\0"
    )
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    _replace_data_entry(path, entry)


def mp4_with_outside_url(path: Path, target: str) -> None:
    """Write an MP4 whose samples are at a URL (ISO/IEC 14496-12, 8.7.2: DataEntryUrlBox)."""
    make_clip(path, frames=10)
    location = target.encode() + b"\0"
    _replace_data_entry(path, struct.pack(">I4sI", 12 + len(location), b"url ", 0) + location)


def _replace_data_entry(path: Path, entry: bytes) -> None:
    """Replace the `url ` box of 12 bytes that means "in this file", and enlarge all boxes around it."""
    content = bytearray(path.read_bytes())
    at = content.index(b"url \0\0\0\x01") - 4
    content[at : at + 12] = entry
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        size_at = content.index(name) - 4
        (size,) = struct.unpack_from(">I", content, size_at)
        struct.pack_into(">I", content, size_at, size + len(entry) - 12)
    path.write_bytes(content)


def matroska_with_attached_playlist(path: Path, target: str) -> None:
    """Write a Matroska file that carries a playlist as an attachment."""
    playlist = path.with_name("attached.m3u8")
    playlist.write_bytes(_playlist(target))
    plain = make_clip(path.with_name("plain.mkv"), frames=10)
    ffmpeg(
        "-i",
        str(plain),
        "-c",
        "copy",
        "-attach",
        str(playlist),
        "-metadata:s:1",
        "mimetype=application/x-mpegurl",
        str(path),
    )


CARRIERS: dict[str, Callable[[Path, str], None]] = {
    "AVI with a playlist as text": avi_with_playlist,
    "MOV with its samples elsewhere": mov_with_outside_data,
    "MP4 with its samples at a URL": mp4_with_outside_url,
    "Matroska with an attached playlist": matroska_with_attached_playlist,
}
"""By name: functions that write a real video which also refers to a target.

The file must have the extension of its container.
"""
