"""Pages, responses for scripts and mails in the reader's language: nothing of them stays in English."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobState
from tasks.models import Event, Job, OutboxEvent, Unit, Video, Visibility
from tasks.selectors.videos import video_overview, warning_messages
from tasks.services.container_api.finish import fail_attempt, reject_input
from tasks.services.delivery.to_owners import _mail
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.share import create_share_link, set_visibility
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.submit import submit_due
from tasks.texts.stored import warning_message
from tasks.transcode import describe_warning
from tasks.transcode.rejections import KINDS, rejection
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    lecturer,
    newest_attempt,
    planned,
    published,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

pytestmark = pytest.mark.django_db

TITLE = "Biologie 생물학"
LANGUAGES = ("de", "ko")

ALLOWED = {
    # Names, units and codes that no language changes.
    *(
        "Batchreel",
        "JavaScript",
        "Safari",
        "HTML",
        "MP4",
        "AWS",
        "Batch",
        "UTC",
        "GiB",
        "MiB",
        "DEAD",
        "Spot",
        "SIGTERM",
    ),
    *("QUEUED", "RUNNING", "RETRY_WAIT", "FAILED", "SUCCEEDED", "CANCELLED", "SUBMITTING", "SUBMITTED", "LOST"),
    *("TOO_LONG", "TRANSCODE_FAILED", "ENCODER_FAILED", "BODY_TOO_LARGE", "INVALID", "H", "AAC", "PDF", "JPEG"),
    # German words that are English ones too.
    *(
        "Video",
        "Videos",
        "Upload",
        "Container",
        "Status",
        "Job",
        "Text",
        "Name",
        "Website",
        "an",
        "in",
        "am",
        "Encoder",
    ),
    *("Retry", "MENU", "Dies", "Jobs", "Helfer", "Bridge", "Admin", "MP"),
}
ENGLISH = re.compile(
    r"\b(the|a|of|to|is|are|were|be|and|or|with|without|for|from|not|no|by|this|that|it|its|your|you|has|have|will|can"
    r"|could|please|file|files|attempt|attempts|processing|processed|uploaded|ready|waiting|failed|cancelled|delete|deleted"
    r"|sign|days|share|links|watch|who|may|change|quality|history|cost|units|machine|machines|private|everyone|address"
    r"|automatic|manual|none|started|submitted|finished|requested|created|until|valid|title|page|newer|older)\b",
    re.IGNORECASE,
)
"""Words that would be left if a text were not translated. None of them is a German word, nor in a test's titles."""

ATTRIBUTES = re.compile(r'(?:aria-label|title|alt|placeholder)="([^"]*)"')
AWS_TEXT = "Essential container in task exited"


def texts_of(page: str) -> str:
    """Return what people read of a page: its text, and the attributes that browsers show or read aloud."""
    attributes = " ".join(ATTRIBUTES.findall(page))
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page)
    return html.unescape(f"{re.sub(r'(?s)<!--.*?-->|<[^>]+>', ' ', page)} {attributes}")


def english_words(text: str) -> list[str]:
    return sorted({word for word in ENGLISH.findall(text) if word not in ALLOWED})


def latin_words(text: str) -> list[str]:
    """Return the words in Latin letters, of which a Korean page has names and codes only."""
    return sorted({word for word in re.findall(r"[A-Za-z][A-Za-z_]+", text) if word not in ALLOWED})


def get(client: Client, path: str, language: str, **options: Any) -> str:
    response = client.get(path, headers={"Accept-Language": language}, **options)
    page = response.content.decode()
    assert f'<html lang="{language}"' in page
    return page


def _uploading() -> Video:
    video = uploaded_video(title=TITLE)
    Job.objects.all().delete()
    Video.objects.update(source_complete=False)
    return video


def _waiting() -> Video:
    return uploaded_video(title=TITLE)


def _processing() -> Video:
    video = uploaded_video(title=TITLE)
    planned(claimed(submitted_attempt(video)))
    return video


def _playable() -> Video:
    video = uploaded_video(title=TITLE)
    planned(claimed(submitted_attempt(video)), plays_directly=True)
    return video


def _interrupted() -> Video:
    video = uploaded_video(title=TITLE)
    attempt = submitted_attempt(video)
    job = lock_job(attempt.job_id)
    current = read_attempt(job, attempt.number)
    current.job = job
    end_attempt(current, AttemptEvent.LOSE, reason=Reason.SPOT_INTERRUPTION)
    return video


def _ready() -> Video:
    video = published(uploaded_video(title=TITLE))
    set_visibility(video_id=video.pk, visibility=Visibility.SIGNED_IN)
    create_share_link(video_id=video.pk, days=3)
    warnings = ["AUDIO_QUIET", "PART_LEFT_OUT 0:00:12 to 0:00:18", "AUDIO_LEFT_OUT track 2 (silent)"]
    rows = [{**describe_warning(each), "detail": each.partition(" ")[2]} for each in warnings]
    Job.objects.update(warnings=rows)
    return video


def _failed() -> Video:
    video = uploaded_video(title=TITLE)
    reject_input(claimed(submitted_attempt(video)), exit_code=3, **rejection("TOO_LONG", hours=13.2, limit_hours=12))
    return video


def _dead(count: int = 5) -> Video:
    video = uploaded_video(title=TITLE)
    for _ in range(count):
        claim = claimed(submitted_attempt(video))
        fail_attempt(claim, reason=Reason.STALLED, text="", exit_code=1)
        age(Job, "next_attempt_at", seconds=100_000)
    submit_due(batch=ScriptedBatch())
    assert Job.objects.get(video=video).state == JobState.DEAD
    return video


def _cancelled() -> Video:
    video = uploaded_video(title=TITLE)
    cancel_job(job_id=submitted_attempt(video).job_id)
    return video


STATUSES: dict[str, Callable[[], Video]] = {
    "UPLOADING": _uploading,
    "WAITING": _waiting,
    "PROCESSING": _processing,
    "playable": _playable,
    "RETRY_WAIT": _interrupted,
    "READY": _ready,
    "FAILED": _failed,
    "DEAD": _dead,
    "CANCELLED": _cancelled,
}


@pytest.fixture
def reader(client: Client, admin_user: User) -> Client:
    """Browser of a person who may do everything."""
    admin_user.username = "김선생"
    admin_user.save()
    client.force_login(admin_user)
    return client


@pytest.mark.few(6)
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_of_a_video_has_no_english_left_when_it_has_a_status(status: str, language: str, reader: Client) -> None:
    video = STATUSES[status]()
    for path in (f"/videos/{video.pk}/", "/", f"/embed/{video.pk}/", f"/videos/{video.pk}/delete/confirm/"):
        text = texts_of(get(reader, path, language))
        # The ids of Batch jobs in the history, and the site's own times.
        text = re.sub(r"batch-\S+|https?://\S+|/videos/\S+", "", text)
        assert english_words(text) == [], path
        if language == "ko":
            left = [word for word in latin_words(text) if word != "Biologie"]
            assert left == [], path


@pytest.mark.parametrize("language", LANGUAGES)
def test_login_and_its_error_have_no_english_left_when_a_password_is_wrong(language: str, client: Client) -> None:
    assert english_words(texts_of(get(client, "/login/", language))) == []
    wrong = {"username": "x", "password": "y"}
    page = client.post("/login/", wrong, headers={"Accept-Language": language}).content.decode()
    assert english_words(texts_of(page)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_of_an_upload_have_no_english_left_when_it_is_refused(
    language: str, reader: Client, settings: Settings
) -> None:
    headers = {"Accept-Language": language}
    empty = reader.post("/upload/", {"source": SimpleUploadedFile("a.mp4", b"")}, headers=headers)
    none = reader.post("/upload/", {}, headers=headers)
    for response in (empty, none):
        assert response.status_code == 400
        assert english_words(texts_of(response.content.decode())) == []
    settings.BATCHREEL = {**settings.BATCHREEL, "upload_limit_bytes": 1024**2 // 2}
    form = {"source": SimpleUploadedFile("a.mp4", b"x" * 1024**2)}
    answer = reader.post("/upload/", form, headers={**headers, "Accept": "application/json"}).json()
    assert answer["code"] == "INVALID"
    assert english_words(" ".join(answer["errors"])) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusals_have_no_english_left_when_a_person_may_not_watch_or_sends_too_much(
    language: str, client: Client, settings: Settings
) -> None:
    refused = get(client, f"/embed/{uploaded_video().pk}/", language)
    assert english_words(re.sub(r"https?://\S+", "", texts_of(refused))) == []
    settings.BATCHREEL = {**settings.BATCHREEL, "body_limit_bytes": 1000}
    client.force_login(lecturer("김선생"))
    headers = {"Accept-Language": language}
    too_large = client.post("/login/", {"username": "x" * 2000}, headers=headers)
    assert too_large.status_code == 413
    assert english_words(texts_of(too_large.content.decode())) == []


def test_rejected_upload_shows_its_reason_in_korean_when_the_browser_is_korean(reader: Client) -> None:
    video = _failed()
    page = get(reader, f"/videos/{video.pk}/", "ko")
    korean = "녹화 길이가 13.2시간이며 한도는 12시간입니다. 여러 부분으로 나누어 하나씩 업로드하세요."
    assert f'<span data-part="message">{korean}</span>' in page
    assert '<span class="badge failed" data-part="status">실패</span>' in page
    english = "The recording is 13.2 hours long; the limit is 12 hours. Please split it into parts and upload them one by one."
    assert Job.objects.get().reason_message == english
    assert english in get(reader, f"/videos/{video.pk}/", "en")


def test_phrases_and_numbers_are_translated_when_they_are_parameters(reader: Client) -> None:
    first, second = uploaded_video(), uploaded_video()
    reject_input(claimed(submitted_attempt(first)), exit_code=3, **rejection("NOT_A_VIDEO", kind=KINDS["pdf"]))
    reject_input(claimed(submitted_attempt(second)), exit_code=3, **rejection("TOO_LONG", hours=13.2, limit_hours=12))
    assert "다음과 같은 파일로 보입니다: PDF 문서. 동영상" in get(reader, f"/videos/{first.pk}/", "ko")
    assert "Die Aufnahme dauert 13,2 Stunden; höchstens 12 Stunden" in get(reader, f"/videos/{second.pk}/", "de")


def test_message_stays_in_english_when_a_row_has_no_details(reader: Client) -> None:
    video = uploaded_video()
    reject_input(claimed(submitted_attempt(video)), code="TOO_ODD", message="The file is too odd.", exit_code=3)
    Job.objects.update(reason_details=None)
    assert "The file is too odd." in get(reader, f"/videos/{video.pk}/", "ko")
    Job.objects.update(reason_details={"text": "OF_A_LATER_VERSION", "hours": 3})
    assert "The file is too odd." in get(reader, f"/videos/{video.pk}/", "ko")
    Job.objects.update(reason_details={"text": "TOO_LONG"})
    assert "The file is too odd." in get(reader, f"/videos/{video.pk}/", "ko")


def test_dead_job_explains_itself_in_german_when_its_attempts_failed_the_same_way(reader: Client) -> None:
    video = _dead()
    page = html.unescape(get(reader, f"/videos/{video.pk}/", "de"))
    message = "5 Versuche sind auf dieselbe Weise fehlgeschlagen: die Verarbeitung machte zu lange keinen Fortschritt."
    assert page.count(message) == 2, "on the page and in the history"
    assert "Der Job wurde nach zu vielen Versuchen beendet" in page
    assert "Letzter Versuch:" in page


def test_timeline_is_german_when_the_browser_is(reader: Client) -> None:
    video = _failed()
    page = html.unescape(get(reader, f"/videos/{video.pk}/", "de"))
    history = texts_of(page.partition('<ol class="timeline">')[2].partition("</ol>")[0])
    for entry in (
        "Die Verarbeitung wurde angefordert keiner → QUEUED; automatisch",
        "Ein neuer Versuch wurde eingeplant Versuch 1",
        "An AWS Batch übergeben",
        "Die Datei wurde abgelehnt Versuch 1 RUNNING → FAILED; TOO_LONG; Die Aufnahme dauert 13,2 Stunden",
    ):
        assert entry in " ".join(history.split()), history
    assert not Event.objects.filter(text__contains="Aufnahme").exists()


def test_warnings_are_in_the_readers_language_when_a_source_has_some() -> None:
    video = Video.objects.select_related("published_job").get(pk=_ready().pk)
    with override("ko"):
        _, left_out, tracks = warning_messages(video)
        assert left_out.startswith(
            "파일의 일부가 나머지와 다른 트랙으로 되어 있어 제외되었습니다: 약 0:00:12~0:00:18. 이 부분을"
        )
        assert tracks.startswith("파일의 일부 오디오 트랙이 제외되었습니다: 오디오 트랙 2 (무음). 빠진 것이 있으면")
        without_detail = {"code": "AUDIO_LEFT_OUT", "message": "Some audio tracks were left out: track 2."}
        assert warning_message(without_detail) == without_detail["message"]
        assert warning_message({"code": "LATER", "message": "Something new."}) == "Something new."


@pytest.mark.parametrize(("number", "german"), [(1, "1 von 1 Einheit "), (2, "0 von 2 Einheiten ")])
def test_plural_follows_the_number_when_there_is_one_and_when_there_are_more(
    number: int, german: str, reader: Client
) -> None:
    video = uploaded_video()
    claim = claimed(submitted_attempt(video))
    planned(claim)
    media = list(Unit.objects.filter(kind__in=["video", "audio"]).order_by("pk"))
    for unit in media[number:]:
        unit.delete()
    if number == 1:
        Unit.objects.filter(pk=media[0].pk).update(state="DONE", done_at=Now(), output={})
    shown = " ".join(texts_of(get(reader, f"/videos/{video.pk}/", "de")).split())
    assert german.strip() in shown
    assert f"작업 단위 {number}개 중" in get(reader, f"/videos/{video.pk}/", "ko")


def test_responses_for_scripts_are_translated_when_the_browser_asks(reader: Client) -> None:
    video = _processing()
    headers = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
    answer = reader.get("/progress/", {"video": str(video.pk)}, headers=headers).json()["videos"][str(video.pk)]
    assert (answer["status"], answer["status_label"]) == ("PROCESSING", "In Arbeit")
    assert answer["message"] == "Das Video wird verarbeitet."
    missing = reader.get("/media/published/x", headers=headers).json()
    assert missing == {"errors": ["Nicht gefunden."], "code": "NOT_FOUND"}


def test_english_is_shown_when_the_browser_wants_a_language_that_is_not_there(reader: Client) -> None:
    page = reader.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en">' in page
    assert "Upload videos" in page


def test_scripts_get_their_texts_when_a_page_loads_them(client: Client) -> None:
    url = reverse("batchreel:script-texts")
    korean = client.get(url, headers={"Accept-Language": "ko"})
    assert korean["Content-Type"].startswith("text/javascript")
    assert korean["Cache-Control"] == "private, no-cache"
    assert "Accept-Language" in korean["Vary"]
    assert '"The upload was cancelled.": "\\uc5c5\\ub85c\\ub4dc' in korean.content.decode()
    assert "The upload was cancelled." not in client.get(url, headers={"Accept-Language": "en"}).content.decode()
    again = client.get(url, headers={"Accept-Language": "ko", "If-None-Match": korean["ETag"]})
    assert again.status_code == 304


def test_attributes_for_scripts_stay_as_they_are_when_numbers_get_separators(
    reader: Client, settings: Settings
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    settings.BATCHREEL = {**settings.BATCHREEL, "share_link_max_days": 3650}
    video = _ready()
    Job.objects.update(chapters=[{"start_s": 1234.5, "end_s": 2345.5, "title": "Eins"}])
    page = get(reader, f"/videos/{video.pk}/", "de")
    assert 'data-start="1234.5" data-end="2345.5"' in page
    assert 'max="3650"' in page
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT[\d:.]+\+00:00">\d+\. \w+ \d{4}, \d\d:\d\d', page)


def test_overview_needs_no_more_queries_when_it_is_translated(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    video = _failed()
    with override("ko"), django_assert_num_queries(3):
        assert "녹화 길이가" in video_overview(video).message


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["video", "job", "attempt", "event", "outboxevent", "webhookendpoint/add", "tick"])
def test_admin_has_no_english_left_when_an_operator_reads_it(page: str, language: str, reader: Client) -> None:
    video = _failed()
    job = Job.objects.get()
    own = {"video": f"{video.pk}/change/", "job": f"{job.pk}/change/", "attempt": f"{newest_attempt(video).pk}/change/"}
    for path in filter(None, ["" if page.endswith("/add") else f"{page}/", page.endswith("/add") and f"{page}/"]):
        for url in [path, *([path + own[page]] if page in own else [])]:
            text = texts_of(get(reader, f"/admin/batchreel/{url}", language))
            assert english_words(_own_texts(text)) == [], url


def _own_texts(text: str) -> str:
    """Return the text without what rows contain: ids, keys, profiles in the engine's words, texts of the engine."""
    text = re.sub(r"\S+[-./]\S+|video\.\w+|The recording is [^\n]+|\{.*\}", "", text)
    return re.sub(r"Django.+", "", text)


def test_mail_is_in_the_sites_language_when_no_other_is_known(settings: Settings) -> None:
    owner = User.objects.create_user("owner", email="owner@example.com")
    video = uploaded_video(title=TITLE)
    Video.objects.update(owner=owner)
    reject_input(claimed(submitted_attempt(video)), exit_code=3, **rejection("TOO_LONG", hours=13.2, limit_hours=12))
    event = OutboxEvent.objects.get(kind="video.failed")
    assert event.payload["message"].startswith("The recording is 13.2 hours long")
    settings.LANGUAGE_CODE = "ko"
    with override("de"):
        mail = _mail(event)
    assert mail is not None
    assert mail.subject == f"변환 실패: {TITLE}"
    assert mail.body.splitlines()[:3] == [
        f"동영상 \u2018{TITLE}\u2019을(를) 변환하지 못했습니다.",
        "",
        "녹화 길이가 13.2시간이며 한도는 12시간입니다. 여러 부분으로 나누어 하나씩 업로드하세요.",
    ]
