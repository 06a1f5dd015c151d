"""docs/integration.md as a stranger follows it: the printed steps, in a site with apps named `tasks` and `project`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from project.local.servers.ports import free_port
from tests.integration.installed_wheel import ROOT, Installation

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "integration.md"
START = "../checkout/scripts/stack bash --norc"
PASSWORD = {f"DJANGO_SUPERUSER_{name}": name.lower() for name in ("USERNAME", "PASSWORD")}
LIMIT_S = 400

WAIT = f"""
import runpy
ended = video.jobs.filter(state__in=["SUCCEEDED", "FAILED", "DEAD"])
job = runpy.run_path({str(ROOT / "tests" / "polling.py")!r})["wait_for"](ended.first, limit_s=200, what="the end of the job")
print(job.state, list(job.attempts.values_list("number", "state", "reason", "reason_message")))
assert job.state == "SUCCEEDED"
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(LIMIT_S + 60)]


def blocks(number: int, language: str = "") -> list[str]:
    """Return the page's code blocks of one step, in this language."""
    _, _, rest = PAGE.read_text().partition(f"\n## {number}. ")
    step, _, _ = rest.partition("\n## ")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", step, flags=re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


@pytest.fixture
def site(worker: Installation, tmp_path: Path) -> Path:
    """Return the folder of a project that the steps 1 to 4 have made."""
    folder = tmp_path / "mysite"
    environment = {"PATH": os.defpath}
    django = ["-m", "django", "startproject", "mysite"]
    assert worker.run(*django, cwd=tmp_path, environment=environment).returncode == 0
    for name in ("tasks", "project"):
        assert worker.run("manage.py", "startapp", name, cwd=folder, environment=environment).returncode == 0
    for block in [each for number in (2, 3, 4) for each in blocks(number, "python")]:
        name = block.partition("\n")[0].removeprefix("# ")
        before = "" if name.endswith("urls.py") else (folder / name).read_text() if (folder / name).exists() else ""
        (folder / name).write_text(f"{before}\n{block}")
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write('\nINSTALLED_APPS += ["tasks", "project"]\n')
    return folder


def transcode_commands(site: Path, clip: Path) -> str:
    """Return the commands of step 6 after the first, as one script; the entries of its shell are in a file."""
    prepare, _registered, programs, end, _doctor = blocks(6)
    first, *prepared = prepare.splitlines()
    assert first == START
    entries = [re.sub(r"^(>>>|\.\.\.) ?", "", line) for block in blocks(6, "python") for line in block.splitlines()]
    code = "\n".join(line for line in entries if not line.startswith("'"))
    (site / "lecture.mp4").hardlink_to(clip)
    code = code.replace("from batchreel.selectors", f"{WAIT}\nfrom batchreel.selectors")
    (site / "entries.py").write_text(f"{code}\nprint(media_url(video.published_job.shown_playlist_key))\n")
    commands = [line.replace("createsuperuser", "createsuperuser --noinput --email x@example.org") for line in prepared]
    # The installation of the tests has no scripts.
    commands += [re.sub("^celery ", "python -m celery ", line) for line in programs.splitlines()]
    commands = [line.replace("runserver", f"runserver {free_port()}") for line in commands]
    commands += ["python manage.py shell --no-imports < entries.py"]
    doctor, *stop = end.splitlines()
    # Until the slowest tick, which beat sends every minute, has run for the first time.
    commands += [f"until {doctor} > doctor.log || ((SECONDS > {LIMIT_S / 2:.0f})); do :; done", "cat doctor.log", *stop]
    return "\n".join(["set -e", "trap 'kill $(jobs -p) 2> /dev/null' EXIT", *commands])


def test_video_is_published_when_a_site_with_our_names_follows_the_page(
    site: Path, worker: Installation, short_clip: Path
) -> None:
    script = transcode_commands(site, short_clip)
    command = [sys.executable, "-E", "-s", "-m", "project.local", "site", "bash", "--norc", "-c", script]
    path = os.pathsep.join([str(worker.python.parent), os.defpath])
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": path, "CALLER_DIR": str(site), "HOME": str(site.parent), **PASSWORD},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    shown = ran.stdout + ran.stderr
    (site.parent / "shown.txt").write_text(shown)
    assert ran.returncode == 0, shown
    assert "System check identified no issues (0 silenced)." in ran.stdout
    assert blocks(6)[1].splitlines()[1] == "Registered batchreel-transcode:1."
    assert "Registered batchreel-transcode:1." in ran.stdout
    assert re.search(r"^/lectures/media/published/.+/master\.m3u8$", ran.stdout, flags=re.MULTILINE), shown
    (result,) = [line for line in ran.stdout.splitlines() if line.endswith("WARNING.")]
    assert result.endswith(blocks(6)[-1].splitlines()[-1].removeprefix("…")), shown
