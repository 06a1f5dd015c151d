"""Clocks that start over partway through a file: which packets have which clock, and what makes them one.

Transport and program streams may have several clocks one after the other: the cells of a DVD, recordings
that were concatenated as plain files, a clock of 33 bits that wraps around. A packet's position in the
file shows which clock it has, wherever reading starts. See docs/adr/0043.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

SPLICED_DEMUXERS = frozenset({"mpegts", "mpeg"})
"""Formats whose packets have positions and whose streams share one time base."""

TICKS_PER_S = 90_000
"""ISO/IEC 13818-1, 2.4.3.7; libav uses it for both formats."""

_CYCLE_TICKS = 2**33
"""Timestamps have 33 bits. libav adds this to those that are more than a minute lower than the first one."""

_BACK_TICKS = TICKS_PER_S
"""A clock that goes back by more has started over. Less is a fault of the multiplexer."""

_AHEAD_TICKS = 3600 * TICKS_PER_S
"""A clock that goes ahead by more is another one: otherwise, the file would be rejected (MAX_GAP_S)."""

_OVERLAP_TICKS = TICKS_PER_S // 2
"""Audio that would overlap the audio before it by more is content, and the video waits for it. Less is
rounding, as at the beginning and end of a recording (planning).
"""

_INTERLEAVED_BYTES = 16 * 1024 * 1024
"""Streams whose clocks start over no further apart than this do so together: 2 s at 64 Mbit/s."""

_MAX_SPLICES = 500
"""Of one stream. A title of a DVD has some dozens of cells; more are a damaged clock."""


@dataclass(frozen=True)
class Splice:
    """The place in the file at which a stream continues on another clock."""

    position: int
    """Of the first packet with that clock, in bytes."""
    shift: int
    """Ticks to add to the times of its packets."""


@dataclass(frozen=True)
class Splicing:
    """What makes one clock of several, for the streams that are transcoded."""

    base: int
    """Half a cycle before the first frame: times are reduced to the cycle from there on."""
    streams: dict[int, tuple[Splice, ...]]
    """By the stream's index, in ascending order of their positions."""
    video_id: int
    """Identifies the video stream (or the audio, if there is none) wherever reading starts: its index may differ."""

    def shift_at(self, stream: int, position: int) -> int:
        """Return the ticks to add to the times of a packet at a position."""
        return next((each.shift for each in reversed(self.streams.get(stream, ())) if each.position <= position), 0)

    def spliced(self, time: int, shift: int) -> int:
        """Return a packet's time on the one clock."""
        return (time + shift - self.base) % _CYCLE_TICKS + self.base

    def filter_text(self, stream: int, start_byte: int) -> str:
        """Return ffmpeg's bitstream filter that does the same to a stream read from `start_byte` on.

        Packets without a position are of the same place as the one before.
        """
        shifts = [0, *(each.shift for each in self.streams.get(stream, ()))]
        steps = zip(self.streams.get(stream, ()), shifts, strict=False)
        shift = "".join(f"+({each.shift - before})*gte(ld(0),{each.position})" for each, before in steps)
        place = f"st(0,if(gte(POS,0),POS,max(ld(0),{start_byte})))"
        # As `Reordering` does it.
        is_wrong = f"gt(PTS-DTS,{_AHEAD_TICKS})*not(eq(DTS,NOPTS))"
        delay = f"st(1,if(gt(PTS,DTS)*lte(PTS-DTS,{_AHEAD_TICKS}),PTS-DTS,ld(1)))"
        times = {"PTS": f"if({is_wrong},DTS+ld(1),PTS)", "DTS": "DTS"}
        return "setts=" + ":".join(
            f"{name.lower()}='{place};{delay};if(eq({name},NOPTS),NOPTS,mod({time}{shift}-({self.base}),{_CYCLE_TICKS})+({self.base}))'"
            for name, time in times.items()
        )

    @classmethod
    def from_json(cls, form: dict[str, Any] | None) -> Splicing | None:
        """Rebuild an equal object from the result of asdict, before or after JSON."""
        if form is None:
            return None
        streams = {
            int(stream): tuple(Splice(**each) for each in splices) for stream, splices in form["streams"].items()
        }
        return cls(form["base"], streams, form["video_id"])


class Reordering:
    """Corrects the times at which frames are displayed, of one stream.

    Program streams have few of them, and libav takes others from the next frame that was not reordered. If that
    has a later clock, so has the time (measured). It is replaced by the delay of the reordered frames before.
    """

    def __init__(self) -> None:
        self._delay = 0

    def corrected(self, pts: int, dts: int) -> int:
        """Return the time at which the frame of the next packet is displayed."""
        if pts - dts > _AHEAD_TICKS:
            return dts + self._delay
        if pts > dts:
            self._delay = pts - dts
        return pts


class Splicer:
    """Puts packets on the one clock, in the order in which a demuxer returns them."""

    def __init__(self, splicing: Splicing) -> None:
        self._splicing = splicing
        self._positions: dict[int, int] = {}
        self._reordering: defaultdict[int, Reordering] = defaultdict(Reordering)

    def take(self, packet: Any) -> None:
        """Change a packet's times; the empty one at the end is ignored."""
        if not packet.size:
            return
        stream = packet.stream_index
        if packet.pos is not None and packet.pos >= 0:
            self._positions[stream] = packet.pos
        shift = self._splicing.shift_at(stream, self._positions.get(stream, 0))
        pts, dts = packet.pts, packet.dts
        if pts is not None:
            corrected = pts if dts is None else self._reordering[stream].corrected(pts, dts)
            packet.pts = self._splicing.spliced(corrected, shift)
        if dts is not None:
            packet.dts = self._splicing.spliced(dts, shift)


@dataclass
class _Run:
    """Packets of a stream on one clock."""

    position: int
    start: int
    end: int


@dataclass
class _StreamClock:
    runs: list[_Run] = field(default_factory=list)
    position: int = -1
    dts: int | None = None
    reordering: Reordering = field(default_factory=Reordering)


class ClockSurvey:
    """Finds out where the clocks of a file's streams start over."""

    def __init__(self) -> None:
        self._video: int | None = None
        """Index of the stream that must have no gap: the video, or else the audio."""
        self._video_id = 0
        self._clocks: dict[int, _StreamClock] = {}
        self._groups: list[dict[int, int]] = []
        """For each change of clocks, the streams that take part and the runs that begin there."""
        self._lost = False
        """Whether a clock started over at a packet without a position."""

    def take(self, packet: Any) -> None:
        """Process a packet, in the order in which a demuxer returns them; the empty one at the end is ignored."""
        time = packet.pts if packet.dts is None else packet.dts
        if time is None or not packet.size:
            return
        if self._video is None or packet.stream.type == "video":
            self._video, self._video_id = packet.stream_index, packet.stream.id
        clock = self._clocks.setdefault(packet.stream_index, _StreamClock())
        position = packet.pos if packet.pos is not None and packet.pos >= 0 else None
        if position is not None and position < clock.position:
            # Returned late: libav keeps the last packet of an elementary stream that ends before the file does.
            return
        is_other_clock = clock.dts is not None and not -_BACK_TICKS <= time - clock.dts <= _AHEAD_TICKS
        pts = time if packet.pts is None else clock.reordering.corrected(packet.pts, time)
        end = pts + max(0, packet.duration or 0)
        if is_other_clock and position is None:
            self._lost = True
        if not clock.runs or is_other_clock:
            clock.runs.append(_Run(clock.position if position is None else position, pts, end))
            if is_other_clock:
                self._change(packet.stream_index, clock)
        run = clock.runs[-1]
        run.start, run.end = min(run.start, pts), max(run.end, end)
        clock.dts = time
        clock.position = clock.position if position is None else position

    def _change(self, stream: int, clock: _StreamClock) -> None:
        last = self._groups[-1] if self._groups else {}
        positions = [self._clocks[each].runs[run].position for each, run in last.items()]
        if stream in last or not any(
            abs(clock.runs[-1].position - position) <= _INTERLEAVED_BYTES for position in positions
        ):
            self._groups.append({})
        self._groups[-1][stream] = len(clock.runs) - 1

    def splicing(self) -> Splicing | None:
        """Return what makes one clock of several; None if there is only one, or if that is not possible."""
        if self._video is None or not self._groups or self._lost or len(self._groups) > _MAX_SPLICES:
            return None
        shifts = dict.fromkeys(self._clocks, 0)
        splices: dict[int, tuple[Splice, ...]] = {}
        for group in self._groups:
            shift = self._shift(group, shifts)
            for stream, run in group.items():
                shifts[stream] = shift
                splice = Splice(self._clocks[stream].runs[run].position, shift)
                splices[stream] = (*splices.get(stream, ()), splice)
        return Splicing(self._clocks[self._video].runs[0].start - _CYCLE_TICKS // 2, splices, self._video_id)

    def _shift(self, group: dict[int, int], shifts: dict[int, int]) -> int:
        """Return the shift that makes the video follow without a gap, and no audio overlap by much."""
        gaps = {
            stream: self._clocks[stream].runs[run - 1].end + shifts[stream] - self._clocks[stream].runs[run].start
            for stream, run in group.items()
        }
        shift = next((gap for stream, gap in gaps.items() if stream == self._video), min(gaps.values()))
        longest = max(gaps.values())
        return longest if longest > shift + _OVERLAP_TICKS else shift
