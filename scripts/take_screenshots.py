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
from pathlib import Path
from typing import TypeVar

import imageio_ffmpeg
from playwright.sync_api import Browser, Page, sync_playwright

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
        with dev_site(Path(folder)) as (web, password):
            take_all(browser, web, password, lecture, output)
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


@contextmanager
def dev_site(folder: Path) -> Iterator[tuple[str, str]]:
    """Run `scripts/dev` in the folder; yield the URL of its pages and the password of its accounts."""
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
        yield words["web pages"].rstrip("/"), words["password"]
    except BaseException:
        sys.stderr.write(log_path.read_text()[-4000:])
        raise
    finally:
        os.killpg(site.pid, signal.SIGINT)
        site.wait(timeout=20)


def take_all(browser: Browser, web: str, password: str, lecture: Path, output: Path) -> None:
    """Upload the lecture as the teacher, kill its container once, and take the screenshots."""
    teacher = signed_in(browser, web, "teacher", password)
    teacher.fill("[name=title]", "Photosynthesis")
    teacher.set_input_files("[name=source]", lecture)
    teacher.click("form.upload [type=submit]")
    teacher.wait_for_url(re.compile("/videos/"))
    wait_for(lambda: percent(teacher) > 25, "a quarter of the work")  # noqa: PLR2004
    subprocess.run([shutil.which("pkill") or "pkill", "-KILL", "-f", "tasks.container"], check=True)
    wait_for(lambda: percent(teacher) > 60, "more than half of the work")  # noqa: PLR2004
    save(teacher, output / "progress.webp")
    teacher.wait_for_selector('[data-status="READY"]', timeout=LIMIT_S * 1000)
    teacher.reload()
    teacher.wait_for_function("document.querySelector('video')?.readyState >= 2")
    teacher.evaluate("document.querySelector('video').currentTime = 45")
    teacher.wait_for_function(
        "!document.querySelector('video').seeking && document.querySelector('video').readyState >= 2"
    )
    save(teacher, output / "video-page.webp")

    admin = signed_in(browser, web, "admin", password, path="/admin/batchreel/job/")
    admin.click("#result_list tbody a")
    admin.wait_for_load_state()
    save(admin, output / "admin-job.webp", full_page=True)


def signed_in(browser: Browser, web: str, name: str, password: str, *, path: str = "/") -> Page:
    """Return a page of a browser in which this account has signed in."""
    page = browser.new_context(viewport={"width": 1180, "height": 800}, bypass_csp=True).new_page()
    page.goto(f"{web}{path}")
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("[type=submit]")
    page.wait_for_url(f"{web}{path}")
    return page


def percent(page: Page) -> int:
    """Return how far the video is, as its page shows it."""
    return int(page.get_attribute("progress", "value") or 0) if page.locator("progress").count() else 100


def save(page: Page, path: Path, *, full_page: bool = False) -> None:
    """Write a screenshot as WebP."""
    with tempfile.NamedTemporaryFile(suffix=".png") as png:
        page.screenshot(path=png.name, full_page=full_page)
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
