"""Real engines in the confined child, installed into a temporary folder: whisper.cpp, and PocketSphinx as a second one.

No package index has weights of Whisper, but the source distribution of pywhispercpp contains whisper.cpp's test
model, which has no tensors, and a recording. So whisper.cpp loads and runs here, and PocketSphinx, whose package
has a model of English, transcribes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tasks.transcode import PROFILES, make_plan, probe_source
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tasks.transcode.speech.port import Engine
from tasks.transcode.speech.run import transcribe_part, try_engine
from tasks.transcode.speech.text import captions_of
from tests import speech_engines

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WHISPER, SPHINX = "pywhispercpp==1.5.1", "pocketsphinx==5.1.1"
SAMPLES = "pywhispercpp-1.5.1/whisper.cpp"


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sources of whisper.cpp, with its test models and its sample recording."""
    folder = tmp_path_factory.mktemp("sources")
    pip("download", "--no-deps", "--no-binary", "pywhispercpp", WHISPER, "--dest", str(folder))
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / SAMPLES


@pytest.fixture(scope="module")
def recording(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample recording as a video, in which it begins at second 4."""
    path = tmp_path_factory.mktemp("recording") / "jfk.mp4"
    speech = str(sources / "samples" / "jfk.wav")
    subprocess.run(
        [
            *(ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", "color=s=64x64:r=10:d=16", "-i", speech),
            *("-af", "adelay=4000", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    return path


def test_whisper_loads_weights_and_runs_when_it_is_confined(sources: Path, tmp_path: Path) -> None:
    pip("install", WHISPER, "--target", str(tmp_path))
    shutil.copy(sources / "models" / "for-tests-ggml-tiny.bin", tmp_path / "weights.bin")
    try_engine(Engine(f"{speech_engines.__name__}.whisper", str(tmp_path)), threads=1)


def test_speech_becomes_captions_at_its_times_when_an_engine_transcribes_it(recording: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip("install", SPHINX, "--target", str(site))
    plan = make_plan(probe_source(recording), PROFILES["fast"], threads=1, speech_cpu_s_per_s=10)
    engine = Engine(f"{speech_engines.__name__}.sphinx", str(site))
    found = transcribe_part(recording, plan, 0, work, engine=engine, stop=threading.Event())
    words = {text: start_ms for start_ms, _, text in found["texts"]}
    # "And so, my fellow Americans ...", 1.2 s into the recording: PocketSphinx gets about half of the words right.
    assert {"my", "fellow", "not", "can", "do", "for", "you"} <= set(words)
    assert 5_100 < words["fellow"] < 5_400
    made = captions_of([found], end_ms=16_000)
    assert made is not None
    assert made.language == "en"
