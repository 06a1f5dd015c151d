"""Runs of the engine over tiny clips, in units of two seconds so that even these have several units."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

from tasks.transcode import PROFILES, Plan, Profile, ProfileRung, Publication
from tasks.transcode.cli.local_run import LocalRun, finish_run, start_run
from tests.media.output_checks import check_output

SMALL = dataclasses.replace(
    PROFILES["fast"],
    rungs=(ProfileRung(180, 23, 400_000), ProfileRung(80, 23, 200_000), ProfileRung(60, 23, 100_000)),
    gop_s=0.5,
    segment_s=1.0,
    unit_segments=2,
    thumbnail_s=0.8,
)


@dataclasses.dataclass(frozen=True)
class Transcoded:
    """A finished run over one clip."""

    run: LocalRun
    publication: Publication

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def rungs(self) -> list[str]:
        return [rung["name"] for rung in self.publication.manifest["rungs"]]

    def joined(self, rung: str) -> Path:
        """Return one file with the init and all segments of a rung (or `audio`), as a player would append them."""
        path = self.run.folder / f"{rung}.joined.mp4"
        with path.open("wb") as file:
            for entry in self.publication.manifest["objects"]:
                if entry["track"] == rung:
                    content = (self.run.folder / entry["url"]).read_bytes()
                    file.write(content if file.tell() == 0 else content[entry["init_bytes"] :])
        return path


class Transcode:
    """Callable for tests: takes a source and a profile, and returns a finished run whose output passes check_output.

    Use `checked=False` for lossless rungs: they fail one of the checks, because players do not
    support their H.264 profile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self, source: Path, profile: Profile = SMALL, *, name: str = "output", checked: bool = True
    ) -> Transcoded:
        run = start_run(source, self._folder / name, profile, threads=1)
        publication = finish_run(run, parallel=1, progress=lambda *_: None, stop=threading.Event())
        if checked:
            check_output(run.folder)
        return Transcoded(run, publication)
