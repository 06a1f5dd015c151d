"""A whole output on one machine: every unit once, finished ones kept, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..encode.audio import encode_audio
from ..encode.video import encode_video
from ..errors import AUDIO_UNIT, EncodeError, SeamMismatchError
from ..outputs import UnitOutput
from ..package.manifest import MANIFEST_NAME
from ..package.publication import MASTER_NAME, build_publication
from ..plan.planning import make_plan
from ..probe.probe import probe_source
from ..verify.decode import undecodable_units
from ..verify.objects import verify_publication

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from ..errors import UnitKey
    from ..package.manifest import Publication
    from ..plan.plan import Plan
    from ..plan.profile import Profile

_RECORD_NAME = "output.json"
_PLAN_NAME = "plan.json"
_UNITS_NAME = "units"
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class LocalRun:
    """One source on its way into one folder. `plan.json` and one `output.json` for each unit record what is done."""

    source: Path
    folder: Path
    plan: Plan
    resumed: bool
    """True when the folder already held this very plan."""

    def unit_folder(self, unit: UnitKey) -> Path:
        """Return where a unit's files lie."""
        return self.folder / _UNITS_NAME / (unit if isinstance(unit, str) else f"{unit:04}")

    def units(self) -> list[UnitKey]:
        """Return all units, the audio first: it takes longest."""
        video: list[UnitKey] = [unit.index for unit in self.plan.video_units]
        return [AUDIO_UNIT, *video] if self.plan.has_audio else video

    def length_s(self, unit: UnitKey) -> float:
        """Return how many seconds of media a unit makes."""
        if isinstance(unit, str):
            return self.plan.duration_s
        video = self.plan.video_units[unit]
        return float((video.end_frame - video.first_frame) / self.plan.rate)

    def finished(self, unit: UnitKey) -> UnitOutput | None:
        """Return a unit's output if an earlier run finished it and its files still have their sizes."""
        record = self.unit_folder(unit) / _RECORD_NAME
        try:
            output = UnitOutput.from_json(json.loads(record.read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            # There is none, or what a power cut left of it.
            return None
        files = [(record.with_name(file.name), file.bytes) for file in output.files]
        return output if all(path.exists() and path.stat().st_size == size for path, size in files) else None


def start_run(
    source: Path, folder: Path, profile: Profile, *, threads: int, stop: threading.Event | None = None
) -> LocalRun:
    """Probe and plan; take up the folder's earlier work if it was for the same plan. Raises TranscodeError or StoppedError.

    Work for another plan is deleted: EncodeError where the folder is somebody else's, or holds the source itself.
    """
    earlier = _earlier_record(folder)
    if source.resolve().is_relative_to(folder.resolve() / _UNITS_NAME):
        raise EncodeError(
            code="SOURCE_IN_OUTPUT",
            message=f"{source} is a part of what {folder} holds. Name another folder for the output.",
        )
    stat = source.stat()
    plan = make_plan(probe_source(source, stop=stop), profile, threads=threads)
    record = {"source_bytes": stat.st_size, "source_mtime_ns": stat.st_mtime_ns, "plan": plan.to_json()}
    # Through JSON, so that lists and tuples compare equal.
    same = earlier == json.loads(json.dumps(record))
    if not same:
        folder.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            _clear(folder)
        _write_whole(folder / _PLAN_NAME, json.dumps(record))
    return LocalRun(source, folder, plan, resumed=same)


def _earlier_record(folder: Path) -> dict[str, Any] | None:
    """Return what an earlier run recorded of its plan, None where there was none. Raises EncodeError for a file that no run wrote."""
    path = folder / _PLAN_NAME
    try:
        if not (text := path.read_text()):
            # What a power cut left.
            return {}
        record = json.loads(text)
        if record["plan"]["engine"] and "source_bytes" in record:
            return dict(record)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise EncodeError(
        code="FOLDER_NOT_OURS",
        message=f"{path} is not of this program, so nothing there was touched. Name another folder for the output.",
    )


def _published_names(folder: Path) -> list[str]:
    """Return the playlists of a publication; none where its list was cut off."""
    try:
        return [entry["name"] for entry in json.loads((folder / MANIFEST_NAME).read_text())["playlists"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _clear(folder: Path) -> None:
    """Delete what a run for another plan left, and nothing else: playlists before media, so that none names what is gone."""
    for name in (*_published_names(folder), MANIFEST_NAME):
        (folder / Path(name).name).unlink(missing_ok=True)
    shutil.rmtree(folder / _UNITS_NAME, ignore_errors=True)


def finish_run(
    run: LocalRun,
    *,
    at_once: int,
    progress: Callable[[UnitKey, float], None],
    stop: threading.Event,
    full_verify: bool = False,
) -> Publication:
    """Do what is left, `at_once` units side by side, and publish into the run's folder.

    Before that, the first and the last segment of each track are decoded, or all of them with `full_verify`.

    `progress` gets a unit and the seconds of media done in it, from several threads. Units whose seams don't meet are
    done once more. The first error stops the rest and is raised: TranscodeError or StoppedError.
    """
    way = _Way(at_once, set(), full_verify, progress, stop)
    outputs: dict[UnitKey, UnitOutput] = {}
    while True:
        left = [unit for unit in run.units() if unit not in outputs]
        _do_all(run, left, outputs, way)
        try:
            return _publish(run, outputs, way)
        except SeamMismatchError as mismatch:
            # Seeking went wrong in this source; reading it from its beginning doesn't.
            if way.from_beginning.issuperset(mismatch.units):
                raise
            way.from_beginning.update(mismatch.units)
            for unit in mismatch.units:
                del outputs[unit]
                (run.unit_folder(unit) / _RECORD_NAME).unlink()


@dataclass(frozen=True)
class _Way:
    """How units are to be done."""

    at_once: int
    from_beginning: set[UnitKey]
    full_verify: bool
    progress: Callable[[UnitKey, float], None]
    stop: threading.Event


def _do_all(run: LocalRun, units: list[UnitKey], outputs: dict[UnitKey, UnitOutput], way: _Way) -> None:
    def do(unit: UnitKey) -> None:
        outputs[unit] = run.finished(unit) or _do(run, unit, way)
        way.progress(unit, run.length_s(unit))

    with ThreadPoolExecutor(way.at_once) as pool:
        futures = [pool.submit(do, unit) for unit in units]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            way.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _do(run: LocalRun, unit: UnitKey, way: _Way) -> UnitOutput:
    folder = run.unit_folder(unit)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(unit, str):
        output = encode_audio(
            run.source, run.plan, folder, progress=lambda done_ms: way.progress(unit, done_ms / 1000), stop=way.stop
        )
    else:
        rate = float(run.plan.rate)
        output = encode_video(
            run.source,
            run.plan,
            unit,
            folder,
            progress=lambda frames: way.progress(unit, frames / rate),
            stop=way.stop,
            from_beginning=unit in way.from_beginning,
        )
    _write_whole(folder / _RECORD_NAME, json.dumps(output.to_json()))
    return output


def _publish(run: LocalRun, outputs: dict[UnitKey, UnitOutput], way: _Way) -> Publication:
    publication = build_publication(
        run.plan,
        outputs,
        url_of=lambda unit, file: (run.unit_folder(unit) / file.name).relative_to(run.folder).as_posix(),
    )
    manifest = publication.manifest
    bad = verify_publication(manifest, lambda url: _pieces(run.folder / url)) or undecodable_units(
        manifest, lambda url: _pieces(run.folder / url), run.folder, whole=way.full_verify, stop=way.stop
    )
    if bad:
        for unit, _ in bad:
            (run.unit_folder(unit) / _RECORD_NAME).unlink(missing_ok=True)
        raise EncodeError(
            code="VERIFY_FAILED",
            message=f"{len(bad)} of {len(outputs)} units did not come out well ({bad[0].reason}). "
            "Run the same command again to make them anew.",
        )
    # The master comes last: whoever finds it finds all that it names.
    for file in sorted(publication.files, key=lambda file: file.name == MASTER_NAME):
        _write_whole(run.folder / file.name, file.content.decode())
    return publication


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either there with all its content, or as it was before."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        # The name must not reach the disk before the content does: a power cut would leave an empty file.
        os.fsync(file.fileno())
    part.replace(path)
