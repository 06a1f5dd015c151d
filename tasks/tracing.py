"""Traces by OpenTelemetry: one trace from the request through SubmitJob into the container.

Only the API is needed, by the extra `metrics`: without it there are no traces. It does nothing
until the site or the image installs and configures an SDK. The trace crosses the queue in the job's
row, `traceparent`: it is private, it survives every retry, and DescribeJobs shows everyone the
environment of a Batch job.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from .models import Attempt

P = ParamSpec("P")
R = TypeVar("R")

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # without the extra `metrics`
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True
    _tracer = trace.get_tracer("batchreel")
    _propagator = TraceContextTextMapPropagator()


def current_traceparent() -> str:
    """Return the current span in the format of W3C Trace Context, or an empty string if there is none."""
    if not _IS_INSTALLED:
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span(name: str, *, traceparent: str = "", start_ns: int | None = None, **attributes: Any) -> Iterator[None]:
    """Run the block in a span: in the trace of `traceparent` if there is one, otherwise in the current trace.

    In another trace, the span is linked to the current span, such as the one of the tick.
    """
    if not _IS_INSTALLED:
        yield
        return
    current = trace.get_current_span().get_span_context()
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    with _tracer.start_as_current_span(
        name,
        context=parent,
        links=[trace.Link(current)] if parent is not None and current.is_valid else (),
        start_time=start_ns,
        attributes={f"batchreel.{key}": str(value) for key, value in attributes.items()},
    ):
        yield


def traced(name: str, view: Callable[P, R]) -> Callable[P, R]:
    """Return the view with a span around it."""

    @functools.wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with span(name):
            return view(*args, **kwargs)

    return wrapped


def traced_attempt(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function whose first argument is an attempt: it runs in a span of the job's trace."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            attempt: Attempt = args[0]  # type: ignore[assignment]  # the contract of this decorator
            with span(name, traceparent=attempt.job.traceparent, job_id=attempt.job_id, attempt=attempt.number):
                return function(*args, **kwargs)

        return wrapped

    return decorate
