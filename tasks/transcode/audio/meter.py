"""Measurement of the audio while its packets are read: how loud, how high its peaks, clipped or not.

Of long audio, excerpts are measured: 3 s at a time, 5 minutes in all, evenly distributed. They are
decoded as they pass, so the file is read once.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
from av.filter import Graph

from .downmix import STEREO, STEREO_RATE_HZ, converter, downmix_of
from .level import SILENCE_LUFS, AudioLevel
from .mix import MICROPHONE, MIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_MEASURED_S = 300.0
"""In excerpts of 3 s: as many independent ones as the mean of speech needs to be right within half a decibel."""

_MOST_MEASURED = 2
"""Times that much, if the file does not show how much of it was read."""

_EXCERPT_S = 3.0
_FIRST_EXCERPT_S = 20.0
"""Also for those that need some seconds to begin: audio whose beginning cannot be decoded."""

_SETTLES_S = 0.2
"""Dropped after a jump: decoders need earlier packets (of Opus, 80 ms: RFC 7845, 4.6)."""

_PEAK_COUNT = (
    "aformat=sample_fmts=s16",
    "astats=metadata=1:measure_perchannel=none:measure_overall=Peak_level+Peak_count+Number_of_samples",
)
"""In 16 bits, samples beyond full scale become full scale: lossy compression moves clipped ones to either side."""

_STATISTICS = "lavfi.astats.Overall"
_FULL_SCALE_DB = -0.01
_LEAST_PEAK = 1e-4
_USUAL_RATE = STEREO_RATE_HZ * 2
_SILENT_PEAK = 0.001
_AUDIBLE_PEAK = 0.01
"""Of a channel that counts as silent next to one that does not: -60 and -40 dBTP."""


class AudioMeter:
    """Takes a stream's packets and frames, and returns what was measured."""

    def __init__(
        self,
        stream: Any,
        size_bytes: int,
        *,
        length_s: float = 0.0,
        downmix: str | None = None,
        to: Sequence[str] = STEREO,
        take_mixed: Callable[[Any], None] | None = None,
    ) -> None:
        """Measure a stream of a file of this size.

        `length_s` is its length if that is known: streams of the same length have the same excerpts then.
        With `take_mixed`, frames that went through `downmix` and `to` are not measured, but passed on.
        """
        self._stream, self._size_bytes, self._known_length_s = stream, size_bytes, length_s
        self._given_downmix, self._to, self._take_mixed = downmix, to, take_mixed or self._measure_mixed
        self._tick_s = float(stream.time_base)
        codec = stream.codec_context
        # More channels and higher rates take more CPU time.
        weight = max(1.0, (codec.sample_rate or 0) * (codec.channels or 0) / _USUAL_RATE)
        self._budget_s = _MEASURED_S / weight
        self._begin_s: float | None = None
        self._end_s = self._next_s = 0.0
        self._skip_s = 0.0
        self._position = 0
        self._measured_s = 0.0
        self._has_failed = False
        self._formats: dict[tuple[str, str, int], _FormatGraphs] = {}
        self._loudness: Graph | None = None
        self._found: dict[str, str] = {}
        self.downmix = ""
        """ffmpeg filter that makes stereo of the frames' layout; empty if the resampler does it by itself."""

    def wants(self, packet: Any) -> bool:
        """Return whether to decode the packet and pass its frames to `take`."""
        pts = packet.pts if packet.pts is not None else packet.dts
        # In a transport stream, not each packet has a position of its own.
        if packet.pos is not None and packet.pos > 0:
            self._position = packet.pos
        if pts is None or packet.is_discard or self._has_failed or self._measured_s > _MOST_MEASURED * self._budget_s:
            return False
        at_s = pts * self._tick_s
        if self._begin_s is None:
            self._begin_s, self._end_s, self._next_s = at_s, at_s + _FIRST_EXCERPT_S, at_s + _FIRST_EXCERPT_S
        if at_s < self._end_s:
            return True
        if at_s < self._next_s:
            return False
        if self._next_s > self._end_s:
            self._stream.codec_context.flush_buffers()
            self._skip_s = _SETTLES_S
        self._end_s = at_s + _EXCERPT_S
        self._next_s = at_s + _EXCERPT_S * max(1.0, self._length_s(at_s) / self._budget_s)
        return True

    def _length_s(self, at_s: float) -> float:
        """Return about how long the audio is, by how much of the file was read so far."""
        if self._known_length_s:
            return self._known_length_s
        elapsed_s = at_s - (self._begin_s or 0.0)
        return elapsed_s * self._size_bytes / self._position if self._position > 0 else 0.0

    def take(self, frames: Sequence[Any]) -> None:
        """Measure decoded frames, until ffmpeg cannot convert one of them."""
        try:
            self._measure(frames)
        except (av.error.FFmpegError, ValueError):
            self._has_failed = True

    def _measure(self, frames: Sequence[Any]) -> None:
        for frame in frames:
            self._measured_s += frame.samples / frame.sample_rate
            if self._skip_s > 0:
                self._skip_s -= frame.samples / frame.sample_rate
                continue
            graphs = self._graphs(frame)
            for counted in _through(graphs.peaks, frame):
                graphs.found = counted.metadata
            for mixed in _through(graphs.mixed, frame):
                self._take_mixed(mixed)

    def _measure_mixed(self, stereo: Any) -> None:
        self._loudness = self._loudness or converter("stereo", "flt", STEREO_RATE_HZ, to=(_LOUDNESS,))
        for measured in _through(self._loudness, stereo):
            self._found = measured.metadata

    def _graphs(self, frame: Any) -> _FormatGraphs:
        """Return the graphs for the frame's format, which may change midway."""
        layout, given = frame.layout.name, (frame.layout.name, frame.format.name, frame.sample_rate)
        if given not in self._formats:
            self.downmix = (
                downmix_of(layout, frame.layout.nb_channels) if self._given_downmix is None else self._given_downmix
            )
            self._formats[given] = _FormatGraphs(
                mixed=converter(*given, downmix=self.downmix, to=self._to), peaks=converter(*given, to=_PEAK_COUNT)
            )
        return self._formats[given]

    def level(self) -> AudioLevel | None:
        """Return what was measured; None if nothing was decoded."""
        if not self._found:
            return None
        return level_of(self._found, clipped_share=self.clipped_share)

    @property
    def clipped_share(self) -> float:
        """Share of the samples that reach full scale, of the format that has most."""
        return max((each.clipped_share for each in self._formats.values()), default=0.0)


class MixMeter:
    """Takes the packets and frames of two microphones, and returns what was measured of their mix."""

    def __init__(self, streams: Sequence[Any], length_s: float) -> None:
        self._graph, *self._inputs = _mix_graph()
        self._found: dict[str, str] = {}
        self._meters = {
            stream.index: AudioMeter(
                stream, 0, length_s=length_s, downmix=MICROPHONE, to=_MONO, take_mixed=partial(self._mix, place)
            )
            for place, stream in enumerate(streams)
        }

    def take(self, packet: Any) -> None:
        """Process one packet of the streams, or the empty packet at the end of each."""
        meter = self._meters[packet.stream.index]
        if meter.wants(packet):
            with suppress(av.error.FFmpegError, ValueError):  # a damaged packet
                meter.take(packet.decode())

    def _mix(self, place: int, frame: Any) -> None:
        self._inputs[place].push(frame)
        for measured in _pulled(self._graph):
            self._found = measured.metadata

    def level(self) -> AudioLevel | None:
        """Return what was measured; None if not both were decoded."""
        if not self._found:
            return None
        return level_of(self._found, clipped_share=max(each.clipped_share for each in self._meters.values()))


def level_of(found: Mapping[str, str], *, clipped_share: float) -> AudioLevel:
    """Return the level from the metadata of ebur128 for two channels."""
    peaks = [float(found[f"lavfi.r128.true_peaks_ch{channel}"]) for channel in range(2)]
    return AudioLevel(
        loudness_lufs=max(SILENCE_LUFS, float(found["lavfi.r128.I"])),
        true_peak_db=round(20 * math.log10(max(*peaks, _LEAST_PEAK)), 2),
        clipped_share=clipped_share,
        is_one_sided=min(peaks) < _SILENT_PEAK and max(peaks) > _AUDIBLE_PEAK,
    )


@dataclass
class _FormatGraphs:
    """Filter graphs for frames of one format."""

    mixed: Graph
    peaks: Graph
    found: dict[str, str] = field(default_factory=dict)
    """Metadata of the last frame of `peaks`."""

    @property
    def clipped_share(self) -> float:
        """Share of the samples that are at full scale."""
        if not self.found or float(self.found[f"{_STATISTICS}.Peak_level"]) < _FULL_SCALE_DB:
            return 0.0
        share = float(self.found[f"{_STATISTICS}.Peak_count"]) / float(self.found[f"{_STATISTICS}.Number_of_samples"])
        return round(share, 6)


_LOUDNESS = "ebur128=peak=true:metadata=1:framelog=quiet"
"""Writes the loudness and the peaks so far into the metadata of its frames."""

_MONO = (f"aformat=sample_fmts=flt:channel_layouts=mono:sample_rates={STEREO_RATE_HZ}",)


def _mix_graph() -> tuple[Any, Any, Any]:
    """Return a graph that mixes two microphones and measures the mix, and its two inputs."""
    graph = Graph()
    given = f"sample_rate={STEREO_RATE_HZ}:sample_fmt=flt:channel_layout=mono:time_base=1/{STEREO_RATE_HZ}"
    inputs = [graph.add("abuffer", given) for _ in range(2)]
    filters = [text.partition("=") for text in (*MIX.split(","), _LOUDNESS, "abuffersink=")]
    chain = [graph.add(name, arguments) for name, _, arguments in filters]
    for place, each in enumerate(inputs):
        each.link_to(chain[0], 0, place)
    for before, after in pairwise(chain):
        before.link_to(after)
    graph.configure()
    return graph, inputs[0], inputs[1]


def _through(graph: Graph, frame: Any) -> Iterator[Any]:
    graph.push(frame)
    yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
