"""One trace from the request through SubmitJob into the container, and one job id in all logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tasks import tracing
from tasks.container.program import Program
from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Job
from tasks.services.ticks.submit import submit_due
from tasks.transcode import InputRejectedError
from tests.factories import ScriptedBatch, newest_attempt, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from django.test import Client
    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Record all spans of this test by an SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def rejects(*_: object) -> bool:
    """Run a unit as a container does for a file that it cannot read."""
    raise InputRejectedError(code="EMPTY", message="The file is empty.")


@pytest.mark.django_db(transaction=True)
def test_one_trace_leads_from_the_upload_into_the_container_when_an_sdk_records(
    staff: Client, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    staff.post(reverse("batchreel:upload"), {"title": "one", "source": SimpleUploadedFile("a.mp4", b"not a video")})
    job = Job.objects.get()
    with tracing.span("tick"):
        submit_due(batch=ScriptedBatch())
    attempt = newest_attempt(job.video)
    monkeypatch.setattr("tasks.container.program.run_unit", rejects)
    program = Program(job_id=job.pk, number=attempt.number, batch_job_id=attempt.batch_job_id)
    assert program.run() is ExitCode.INPUT_REJECTED

    found = {span.name: span for span in spans.get_finished_spans()}
    names = {"batchreel.upload", "batchreel.submit", "batchreel.attempt", "batchreel.unit.plan"}
    assert names | {"tick"} == set(found)
    upload = found["batchreel.upload"]
    assert {found[name].context.trace_id for name in names} == {upload.context.trace_id}
    assert found["tick"].context.trace_id != upload.context.trace_id
    assert _parents(found) == {
        "batchreel.submit": "batchreel.upload",
        "batchreel.attempt": "batchreel.upload",
        "batchreel.unit.plan": "batchreel.attempt",
    }
    assert [link.context for link in found["batchreel.submit"].links] == [found["tick"].context]
    assert found["batchreel.attempt"].attributes["batchreel.job_id"] == str(job.pk)
    with_id = {record.getMessage().split()[0] for record in caplog.records if str(_job_id(record)) == str(job.pk)}
    assert {"JOB_REQUESTED", "BATCH_SUBMIT", "BATCH_PROCESS_START", "BATCH_JOB_FAILED"} <= with_id


def _parents(found: dict[str, ReadableSpan]) -> dict[str, str]:
    names = {span.context.span_id: name for name, span in found.items()}
    return {name: names[span.parent.span_id] for name, span in found.items() if span.parent}


def _job_id(record: object) -> object:
    return getattr(record, "job_id", None)


@pytest.mark.django_db
def test_nothing_is_traced_when_no_sdk_is_configured() -> None:
    attempt = submitted_attempt(uploaded_video())
    assert attempt.job.traceparent == ""
    with tracing.span("nothing", traceparent="not a traceparent"):
        assert tracing.current_traceparent() == ""


@pytest.mark.django_db
def test_trace_of_the_host_is_kept_when_only_the_caller_has_an_sdk() -> None:
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with tracing.span("carried", traceparent=sent):
        uploaded_video()
    assert Job.objects.get().traceparent == sent
