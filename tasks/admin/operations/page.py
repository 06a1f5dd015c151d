"""The page "Operations": six figures, the newest failures with what to do, the ticks, and where to look further."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ...batch.aws import aws_batch
from ...batch.errors import BatchError
from ...conf import bridge_settings
from ...doctor.finding import Status
from ...doctor.parts import PROBES
from ...doctor.runner import run_probes
from ...models import Operations
from ...selectors.costs import dollars
from ...selectors.operations.failures import Failure, newest_failures
from ...selectors.operations.figures import read_figures
from ...selectors.operations.ticks import TickStatus, tick_statuses
from ...services.reconcile import Report, event_line, reconcile
from ...texts.numbers import one_decimal
from ..widgets import AnyAdmin, badge, moment, short_title
from ..work.words import duration


@admin.register(Operations)
class OperationsAdmin(AnyAdmin):
    """The page for operators, in the place of a list. It has no rows of its own."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may view jobs."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may view jobs."""
        return request.user.has_perm("batchreel.view_job")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: there are no rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: there are no rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: there are no rows."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the page and of the checks."""
        site = self.admin_site
        return [
            path("", site.admin_view(self.page_view), name="batchreel_operations_changelist"),
            # They call AWS, which no transaction of a host with ATOMIC_REQUESTS should wait for.
            path(
                "doctor/",
                transaction.non_atomic_requests(site.admin_view(require_POST(self.doctor_view))),
                name="batchreel_operations_doctor",
            ),
            path(
                "reconcile/",
                transaction.non_atomic_requests(site.admin_view(require_POST(self.reconcile_view))),
                name="batchreel_operations_reconcile",
            ),
        ]

    def page_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page. Raises PermissionDenied if the user may not view jobs."""
        # admin_view admits all staff users.
        if not self.has_view_permission(request):
            raise PermissionDenied
        figures = read_figures()
        context = {
            "figures": figures,
            "oldest_wait": duration(figures.oldest_wait) if figures.oldest_wait is not None else "",
            "ready_per_h": one_decimal(figures.ready_per_h),
            "today": _money(figures.today_usd),
            "month": _money(figures.month_usd),
            "failures": [_failure_row(each) for each in newest_failures()],
            "ticks": [_tick_row(each) for each in tick_statuses(figures.now)],
            "flower_url": bridge_settings().flower_url,
            "may_check": self._may_check(request),
        }
        return self._show(request, "operations", gettext("Operations"), context)

    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        """Run the doctor's checks from this process, and show their findings: failed ones first.

        It takes up to `doctor.runner.DEADLINE_S`. Raises PermissionDenied if the user may not change jobs.
        """
        self._require_check(request)
        order = (Status.FAILED, Status.UNKNOWN, Status.WARNING, Status.OK)
        findings = sorted(run_probes(PROBES), key=lambda finding: order.index(finding.status))
        return self._show(request, "doctor", gettext("Doctor"), {"findings": findings})

    def reconcile_view(self, request: HttpRequest) -> HttpResponse:
        """Show what reconciling the rows with AWS Batch would change, and change nothing.

        Raises PermissionDenied if the user may not change jobs.
        """
        self._require_check(request)
        report, problem = Report(), ""
        try:
            report = reconcile(batch=aws_batch(), apply_changes=False)
        except (BatchError, ImproperlyConfigured, DatabaseError) as error:
            problem = str(error).strip().partition("\n")[0]
        lines = [event_line(event) for event in report.events]
        lines += [f"terminate Batch job {pk}: {why}" for pk, why in report.terminated]
        return self._show(request, "reconcile", gettext("Reconcile"), {"lines": lines, "problem": problem})

    def _may_check(self, request: HttpRequest) -> bool:
        return request.user.has_perm("batchreel.change_job")

    def _require_check(self, request: HttpRequest) -> None:
        if not self._may_check(request):
            raise PermissionDenied

    def _show(self, request: HttpRequest, name: str, title: str, context: dict[str, Any]) -> HttpResponse:
        page = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/batchreel/{name}.html", page)


def _money(usd: Decimal) -> str:
    """Return an amount: cents are enough from a dollar on."""
    return f"${usd:.2f}" if usd >= 1 or not usd else dollars(usd)


def _failure_row(failure: Failure) -> dict[str, Any]:
    return {
        "failure": failure,
        "ended": moment(failure.job.finished_at),
        "title": short_title(str(failure.job.video)),
        "state": badge(failure.job.state),
        "newer_state": badge(failure.newer.state) if failure.newer else "",
    }


def _tick_row(tick: TickStatus) -> dict[str, Any]:
    return {
        "tick": tick,
        "period": duration(timedelta(seconds=tick.period_s)),
        "started": moment(tick.started_at),
        "age": duration(tick.age) if tick.age is not None else "",
        "succeeded": moment(tick.succeeded_at),
    }
