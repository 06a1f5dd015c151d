"""Mutations of the admin: what operators see of a job's work, and what they do by mistake."""

from __future__ import annotations

from tests.mutations.patch import Patch

_CHART = "tests/database/web/test_work_chart.py"
_OPERATIONS = "tests/database/web/test_operations.py"
_ADMIN = "tests/database/web/test_admin.py"

ADMIN_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="units of a lost container look as if they ran on",
        promise=12,
        file="tasks/selectors/operations/work.py",
        old="    if not container.is_live:\n",
        new="    if False:\n",
        tests=(f"{_CHART}::test_work_has_the_lost_units_and_who_repeated_them_when_a_machine_is_reclaimed",),
    ),
    Patch(
        name="the operators' page counts all jobs that ever failed",
        promise=13,
        file="tasks/selectors/operations/figures.py",
        old="state__in=[JobState.DEAD, JobState.FAILED], finished_at__gt=now - WINDOW)",
        new="state__in=[JobState.DEAD, JobState.FAILED])",
        tests=(f"{_OPERATIONS}::test_figures_are_those_of_the_rows_when_jobs_are_in_all_states",),
    ),
    Patch(
        name="a button of the admin cancels without a question",
        promise=11,
        file="tasks/admin/actions.py",
        old="    if CONFIRMED in request.POST:\n",
        new="    if True:\n",
        tests=(f"{_ADMIN}::test_admin_page_shows_the_result_when_its_button_is_pressed",),
    ),
    Patch(
        name="the chart is open to all staff",
        promise=18,
        file="tasks/admin/work/views.py",
        old="        if not self.has_view_permission(request):\n",
        new="        if False:\n",
        tests=(f"{_CHART}::test_page_is_forbidden_when_staff_may_not_view_jobs",),
    ),
)
