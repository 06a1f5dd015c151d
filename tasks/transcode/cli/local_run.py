"""A complete output on one machine: finished units are kept, so that a killed run can be resumed."""

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
from ..errors import EncodeError, InconsistentOutputError, SeamMismatchError
from ..outputs import UnitOutput
from ..package.manifest import MANIFEST_NAME
from ..package.playlists import MASTER_NAME
from ..package.publication import build_publication
from ..plan.planning import make_plan
from ..probe.probe import probe_source
from ..verify.decode import verify_media

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
    """One source and its output folder. `plan.json` and one `output.json` for each unit record what is finished."""

    source: Path
    folder: Path
    plan: Plan
    resumed: bool
    """True if the folder already contained exactly this plan."""

    def unit_folder(self, unit: UnitKey) -> Path:
        """Return the folder of a unit's files."""
        return self.folder / _UNITS_NAME / (unit if isinstance(unit, str) else f"{unit:04}")

    def units(self) -> list[UnitKey]:
        """Return all units, the audio first because it takes longest."""
        return [*(unit.key for unit in self.plan.audio_units), *(unit.index for unit in self.plan.video_units)]

    def length_s(self, unit: UnitKey) -> float:
        """Return the seconds of media in a unit."""
        if isinstance(unit, str):
            return self.plan.audio_end_s(self.audio_index(unit))
        video = self.plan.video_units[unit]
        return float((video.end_frame - video.first_frame) / self.plan.rate)

    def audio_index(self, key: str) -> int:
        """Return the index of the audio unit with this key."""
        return next(unit.index for unit in self.plan.audio_units if unit.key == key)

    def finished(self, unit: UnitKey) -> UnitOutput | None:
        """Return a unit's output if an earlier run finished it and its files still have their sizes."""
        record = self.unit_folder(unit) / _RECORD_NAME
        try:
            output = UnitOutput.from_json(json.loads(record.read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            # No record, or only what a power cut left of it.
            return None
        files = [(record.with_name(file.name), file.bytes) for file in output.files]
        return output if all(path.exists() and path.stat().st_size == size for path, size in files) else None


def start_run(
    source: Path, folder: Path, profile: Profile, *, threads: int, stop: threading.Event | None = None
) -> LocalRun:
    """Probe and plan; resume the folder's earlier run if it had the same plan. Raises TranscodeError or StoppedError.

    The files of a run with another plan are deleted. Raises EncodeError if the folder's `plan.json`
    is not from this program, or if the source is one of the folder's own units.
    """
    earlier = _earlier_record(folder)
    if source.resolve().is_relative_to(folder.resolve() / _UNITS_NAME):
        raise EncodeError(
            code="SOURCE_IN_OUTPUT",
            message=f"{source} is part of the output in {folder}. Choose another folder for the output.",
        )
    stat = source.stat()
    plan = make_plan(probe_source(source, stop=stop), profile, threads=threads)
    record = {"source_bytes": stat.st_size, "source_mtime_ns": stat.st_mtime_ns, "plan": plan.to_json()}
    # Converted to JSON and back, so that lists and tuples compare equal.
    same = earlier == json.loads(json.dumps(record))
    if not same:
        folder.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            _clear(folder)
        _write_atomically(folder / _PLAN_NAME, json.dumps(record))
    return LocalRun(source, folder, plan, resumed=same)


def _earlier_record(folder: Path) -> dict[str, Any] | None:
    """Return the plan record of an earlier run, or None if there is none.

    Raises EncodeError if the file is not from this program.
    """
    path = folder / _PLAN_NAME
    try:
        if not (text := path.read_text()):
            # Left empty by a power cut.
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
        message=f"{path} is not from this program, so nothing was changed. Choose another folder for the output.",
    )


def _published_names(folder: Path) -> list[str]:
    """Return the names of a publication's playlists; empty if its manifest is missing or truncated."""
    try:
        return [entry["name"] for entry in json.loads((folder / MANIFEST_NAME).read_text())["playlists"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _clear(folder: Path) -> None:
    """Delete the files of a run with another plan, and nothing else.

    Playlists are deleted before media, so that no playlist refers to a deleted file.
    """
    for name in (*_published_names(folder), MANIFEST_NAME):
        (folder / Path(name).name).unlink(missing_ok=True)
    shutil.rmtree(folder / _UNITS_NAME, ignore_errors=True)


def finish_run(
    run: LocalRun,
    *,
    parallel: int,
    progress: Callable[[UnitKey, float], None],
    stop: threading.Event,
    full_verify: bool = False,
) -> Publication:
    """Encode the remaining units, `parallel` at a time, verify the result and publish it into the run's folder.

    The first and the last segment of each track are decoded before publishing, or everything with
    `full_verify`; see the package `verify`.

    `progress` gets a unit and the seconds of media finished in it, from several threads. Units that
    fail the seam check are redone once. The first error stops all units and is raised:
    TranscodeError or StoppedError.
    """
    options = _RunOptions(parallel, set(), full_verify, progress, stop)
    outputs: dict[UnitKey, UnitOutput] = {}
    while True:
        remaining = [unit for unit in run.units() if unit not in outputs]
        _encode_all(run, remaining, outputs, options)
        try:
            return _publish(run, outputs, options)
        except SeamMismatchError as mismatch:
            # Seeking landed on the wrong frame; reading the source from its beginning does not
            # seek.
            if options.from_beginning.issuperset(mismatch.units):
                raise
            options.from_beginning.update(mismatch.units)
            for unit in mismatch.units:
                del outputs[unit]
                (run.unit_folder(unit) / _RECORD_NAME).unlink()
        except InconsistentOutputError as error:
            # The next run redoes these units instead of failing in the same way.
            for bad_unit in error.units:
                (run.unit_folder(bad_unit) / _RECORD_NAME).unlink(missing_ok=True)
            raise


@dataclass(frozen=True)
class _RunOptions:
    """How units are encoded and verified."""

    parallel: int
    from_beginning: set[UnitKey]
    full_verify: bool
    progress: Callable[[UnitKey, float], None]
    stop: threading.Event


def _encode_all(run: LocalRun, units: list[UnitKey], outputs: dict[UnitKey, UnitOutput], options: _RunOptions) -> None:
    def encode_unless_finished(unit: UnitKey) -> None:
        outputs[unit] = run.finished(unit) or _encode(run, unit, options)
        options.progress(unit, run.length_s(unit))

    with ThreadPoolExecutor(options.parallel) as pool:
        futures = [pool.submit(encode_unless_finished, unit) for unit in units]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            options.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _encode(run: LocalRun, unit: UnitKey, options: _RunOptions) -> UnitOutput:
    folder = run.unit_folder(unit)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(unit, str):
        output = encode_audio(
            run.source,
            run.plan,
            run.audio_index(unit),
            folder,
            progress=lambda done_ms: options.progress(unit, done_ms / 1000),
            stop=options.stop,
        )
    else:
        rate = float(run.plan.rate)
        output = encode_video(
            run.source,
            run.plan,
            unit,
            folder,
            progress=lambda frames: options.progress(unit, frames / rate),
            stop=options.stop,
            from_beginning=unit in options.from_beginning,
        )
    _write_atomically(folder / _RECORD_NAME, json.dumps(output.to_json()))
    return output


def _publish(run: LocalRun, outputs: dict[UnitKey, UnitOutput], options: _RunOptions) -> Publication:
    publication = build_publication(
        run.plan,
        outputs,
        url_of=lambda unit, file: (run.unit_folder(unit) / file.name).relative_to(run.folder).as_posix(),
    )
    manifest = publication.manifest
    bad = verify_media(
        manifest,
        lambda url: _blocks(run.folder / url),
        run.folder,
        whole=options.full_verify,
        stop=options.stop,
    )
    if bad:
        for unit, _ in bad:
            (run.unit_folder(unit) / _RECORD_NAME).unlink(missing_ok=True)
        raise EncodeError(
            code="VERIFY_FAILED",
            message=f"{len(bad)} of {len(outputs)} units failed verification ({bad[0].reason}). "
            "Run the same command again to redo them.",
        )
    # The master playlist comes last: once it exists, everything it refers to exists.
    for file in sorted(publication.files, key=lambda file: file.name == MASTER_NAME):
        _write_atomically(run.folder / file.name, file.content.decode())
    return publication


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _write_atomically(path: Path, text: str) -> None:
    """Write a file so that it either has all its content or is as it was before."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        # The content must be on disk before the name is: otherwise a power cut would leave an empty
        # file.
        os.fsync(file.fileno())
    part.replace(path)
