"""Screenshots for docs/images/: `scripts/dev` transcodes a lecture of slides; its container is killed once.

The slides are pages that Chromium renders and ffmpeg joins, so that the screenshots show what a teacher would upload.
The site runs in a temporary folder and ends with the program.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imageio_ffmpeg
from playwright.sync_api import Browser, JSHandle, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SLIDES = (
    ("Photosynthesis", "Biology 101, lecture 4"),
    ("Two stages", "Light reactions in the thylakoids<br>Calvin cycle in the stroma"),
    ("Light reactions", "2 H₂O + 2 NADP⁺ + 3 ADP + 3 Pᵢ → O₂ + 2 NADPH + 3 ATP"),
    ("Calvin cycle", "Fixation, reduction, regeneration<br>One G3P for three CO₂"),
    ("What limits the rate?", "Light, carbon dioxide, temperature, water"),
    ("Next week", "Respiration: the same bookkeeping, backwards"),
)
SLIDE_S = 40
LIMIT_S = 300.0

Found = TypeVar("Found")


def main() -> int:
    """Run the site, take every screenshot, and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder of the screenshots (%(default)s)")
    output: Path = parser.parse_args().output
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("chromium is not on PATH: apt-get install chromium")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        lecture = make_lecture(browser, Path(folder))
        with dev_site(Path(folder)) as site:
            take_all(browser, site, lecture, output)
        browser.close()
    for image in sorted(output.glob("*.webp")):
        print(f"{image.relative_to(ROOT) if image.is_relative_to(ROOT) else image}: {image.stat().st_size // 1024} KiB")
    return 0


def make_lecture(browser: Browser, folder: Path) -> Path:
    """Return a video of slides, each shown for `SLIDE_S` seconds."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    for number, (title, text) in enumerate(SLIDES):
        page.set_content(
            "<body style='margin:0;height:100vh;display:grid;place-content:center;text-align:center;font:40px sans-serif;"
            "color:#f5f2ea;background:linear-gradient(150deg,#14532d,#1c3d2e 60%,#0b2a1c)'>"
            f"<h1 style='margin:0;font-size:92px'>{title}</h1><p style='line-height:1.5'>{text}</p></body>"
        )
        page.screenshot(path=folder / f"slide-{number}.png")
    page.close()
    lecture = folder / "Photosynthesis.mp4"
    slides = ["-framerate", f"1/{SLIDE_S}", "-i", str(folder / "slide-%d.png")]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=220:sample_rate=48000:duration={SLIDE_S * len(SLIDES)}"]
    encoder = ["-r", "25", "-g", "250", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    run_ffmpeg(*slides, *tone, *encoder, "-shortest", str(lecture))
    return lecture


@dataclass(frozen=True)
class Site:
    """A running `scripts/dev`."""

    pid: int
    url: str
    password: str
    """The password of all of its accounts."""


@contextmanager
def dev_site(folder: Path) -> Iterator[Site]:
    """Run `scripts/dev` in the folder until the context ends."""
    log_path = folder / "dev.log"
    with log_path.open("w") as log:
        site = subprocess.Popen(
            [ROOT / "scripts" / "dev", "--state", folder / "site", "--port", "8700", "--empty"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        login = folder / "site" / "login.txt"
        wait_for(lambda: login.exists() or site.poll() is not None, "scripts/dev to start")
        words = dict(re.findall(r"^(web pages|password) +(\S+)", login.read_text(), re.MULTILINE))
        wait_for(lambda: "Listening at" in log_path.read_text(), "the web server")
        yield Site(site.pid, words["web pages"].rstrip("/"), words["password"])
    except BaseException:
        sys.stderr.write(log_path.read_text()[-4000:])
        raise
    finally:
        os.killpg(site.pid, signal.SIGINT)
        site.wait(timeout=20)


def take_all(browser: Browser, site: Site, lecture: Path, output: Path) -> None:
    """Upload the lecture as the teacher, kill its container once, and take the screenshots."""
    teacher = signed_in(browser, site, "teacher")
    if teacher.locator("#upload-panel:not([open])").count():
        teacher.click("#upload-panel > summary")
    teacher.set_input_files("[name=source]", lecture)
    teacher.fill("[name=title]", "Photosynthesis")
    teacher.click("form.upload [type=submit]")
    teacher.click("#uploads > [data-state=done] a", timeout=LIMIT_S * 1000)
    teacher.wait_for_url(re.compile("/videos/"))
    wait_for(lambda: percent(teacher) > 25, "a quarter of the work")  # noqa: PLR2004
    kill_container(site)
    wait_for(lambda: percent(teacher) > 60, "more than half of the work")  # noqa: PLR2004
    teacher.reload()
    save(teacher, "main", output / "progress.webp")
    teacher.wait_for_selector('[data-status="READY"]', timeout=LIMIT_S * 1000)
    teacher.reload()
    teacher.wait_for_function("document.querySelector('video')?.readyState >= 2")
    # Chromium displays a spinner after a seek until the video has played.
    teacher.evaluate("video => { video.currentTime = 42; video.muted = true; return video.play() }", video_of(teacher))
    teacher.wait_for_function("document.querySelector('video').currentTime > 45")
    teacher.evaluate("video => video.pause()", video_of(teacher))
    save(teacher, "main", output / "video-page.webp")

    admin = signed_in(browser, site, "admin", path="/admin/batchreel/job/")
    admin.click("#result_list tbody a")
    admin.wait_for_load_state()
    save(admin, ".form-row:has(.batchreel-timeline)", output / "admin-job.webp")


def kill_container(site: Site) -> None:
    """Kill the container that transcodes the video: the only one of this site."""
    listing = subprocess.run(
        [shutil.which("ps") or "ps", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    family = {site.pid}
    while grown := {int(pid) for pid, parent, _ in rows if int(parent) in family} - family:
        family |= grown
    for pid, _, command in rows:
        if int(pid) in family and "tasks.container" in command:
            os.kill(int(pid), signal.SIGKILL)


def signed_in(browser: Browser, site: Site, name: str, *, path: str = "/") -> Page:
    """Return a page of a browser in which this account has signed in."""
    page = browser.new_context(viewport={"width": 1180, "height": 800}, bypass_csp=True).new_page()
    page.goto(f"{site.url}{path}")
    page.fill("[name=username]", name)
    page.fill("[name=password]", site.password)
    page.click("[type=submit]")
    page.wait_for_url(f"{site.url}{path}")
    return page


def video_of(page: Page) -> JSHandle:
    """Return the page's video element."""
    return page.evaluate_handle("document.querySelector('video')")


def percent(page: Page) -> int:
    """Return the percentage that the video's page shows, or 0 if it shows none."""
    return int(page.get_attribute("progress", "value") or 0) if page.locator("progress").count() else 0


def save(page: Page, selector: str, path: Path) -> None:
    """Write a screenshot of the element as WebP."""
    with tempfile.NamedTemporaryFile(suffix=".png") as png:
        page.locator(selector).first.screenshot(path=png.name)
        run_ffmpeg("-i", png.name, "-c:v", "libwebp", "-quality", "82", str(path))


def run_ffmpeg(*arguments: str) -> None:
    """Run ffmpeg, overwriting its output."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


def wait_for(condition: Callable[[], Found], what: str) -> Found:
    """Return what the condition gives once that is true.

    Raise TimeoutError after `LIMIT_S` seconds.
    """
    give_up_s = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up_s:
        if found := condition():
            return found
        time.sleep(0.3)
    message = f"waited {LIMIT_S:g} s for {what}"
    raise TimeoutError(message)


if __name__ == "__main__":
    raise SystemExit(main())
