"""Mutations of what is removed: Batch jobs of ended attempts, objects, and rows that would grow forever."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"

REMOVAL_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a publication without units is emptied",
        promise=2,
        file="tasks/services/removal/purge.py",
        old="    if keep or not is_shown:\n",
        new="    if True:\n",
        tests=(f"{_SERVICES}/test_growth.py::test_publication_is_kept_when_its_units_were_removed_before",),
    ),
    Patch(
        name="a deleted video's Batch job in the queue no longer counts",
        promise=16,
        file="tasks/services/removal/purge.py",
        old="_has_container() | in_batch()",
        new="_has_container()",
        tests=(
            f"{_SERVICES}/test_purge.py::test_deleted_video_keeps_its_rows_when_its_batch_job_still_waits_in_the_queue",
        ),
    ),
    Patch(
        name="an object that the bucket kept counts as deleted",
        promise=11,
        file="tasks/storage/bucket.py",
        old='            if errors := response.get("Errors"):\n',
        new='            if errors := response.get("errors"):\n',
        tests=(f"{_SERVICES}/test_purge_bucket.py::test_video_is_kept_when_the_bucket_reports_that_one_object_stays",),
    ),
    Patch(
        name="what is next to a folder is deleted with it",
        promise=11,
        file="tasks/storage/bucket.py",
        old="Prefix=f\"{where['Key']}/\"",
        new="Prefix=where['Key']",
        tests=(f"{_SERVICES}/test_purge_bucket.py::test_folder_is_emptied_by_few_calls_when_it_has_many_objects",),
    ),
    Patch(
        name="a long deletion does not stop in time",
        promise=11,
        file="tasks/storage/bucket.py",
        old="            before_call()\n            with bucket_errors():\n",
        new="            with bucket_errors():\n",
        tests=(
            f"{_SERVICES}/test_purge_bucket.py::test_deletion_continues_at_the_next_tick_when_it_does_not_end_in_time",
        ),
    ),
    Patch(
        name="too little time counts as a failed purge",
        promise=11,
        file="tasks/services/removal/purge.py",
        old="        except _TimeIsUpError:\n            break\n",
        new="        except _TimeIsUpError as error:\n            _record_failure(row, str(error))\n",
        tests=(
            f"{_SERVICES}/test_purge_bucket.py::test_deletion_continues_at_the_next_tick_when_it_does_not_end_in_time",
        ),
    ),
    Patch(
        name="orphans are looked for before own Batch jobs are terminated",
        promise=11,
        file="tasks/services/ticks/reap.py",
        old="reap_time_limit_s)\n    run.terminate_ended()\n",
        new='reap_time_limit_s)\n    run.terminate_orphans(position="", pages=1)\n    run.terminate_ended()\n',
        tests=(f"{_SERVICES}/test_reap.py::test_cancelled_jobs_are_terminated_first_when_the_queue_is_long",),
    ),
    Patch(
        name="a failed read ends the reap tick",
        promise=11,
        file="tasks/services/ticks/reap.py",
        old="            except BatchError as error:\n                self.failure = error\n                return\n",
        new="            except BatchError:\n                raise\n",
        tests=(f"{_SERVICES}/test_reap.py::test_reap_continues_when_aws_denies_one_of_its_reads[describe_error]",),
    ),
    Patch(
        name="every reap tick lists the queue from its beginning",
        promise=13,
        file="tasks/services/ticks/reap.py",
        old="        row.update(position=after)\n",
        new="        pass\n",
        tests=(f"{_SERVICES}/test_reap.py::test_orphans_are_terminated_by_several_ticks_when_the_queue_is_long",),
    ),
    Patch(
        name="a reap tick lists a long queue until it is killed",
        promise=13,
        file="tasks/services/ticks/reap.py",
        old="        while pages > 0 and not self._is_late():\n",
        new="        while True:\n",
        tests=(f"{_SERVICES}/test_reap.py::test_reap_stops_in_time_when_every_call_is_slow",),
    ),
    Patch(
        name="units of ended jobs stay in the database",
        promise=13,
        file="tasks/services/removal/purge.py",
        old="            _remove_work(current)\n",
        new="            pass\n",
        tests=(f"{_SERVICES}/test_growth.py::test_plan_and_units_are_removed_when_the_job_was_published",),
    ),
    Patch(
        name="events stay in the database",
        promise=13,
        file="tasks/services/removal/expire.py",
        old="            expired += _remove(first_id=old[0], last_id=old[-1])\n",
        new="            pass\n",
        tests=(
            f"{_SERVICES}/test_growth.py::test_events_are_removed_when_their_job_ended_longer_than_the_retention_ago",
        ),
    ),
    Patch(
        name="events of active jobs are removed",
        promise=13,
        file="tasks/services/removal/expire.py",
        old="~Exists(in_use), _is_old()",
        new="_is_old()",
        tests=(f"{_SERVICES}/test_growth.py::test_events_are_kept_when_their_old_job_was_not_pruned_yet",),
    ),
    Patch(
        name="events that stay hide the ones after them",
        promise=13,
        file="tasks/services/removal/expire.py",
        old="        row.update(position=after)\n",
        new="        pass\n",
        tests=(f"{_SERVICES}/test_growth.py::test_expiry_reaches_all_events_when_those_that_stay_come_first",),
    ),
    Patch(
        name="the admin counts whole tables",
        promise=13,
        file="tasks/admin/widgets.py",
        old="rows.order_by()[:MAX_COUNTED_ROWS].count()",
        new="rows.count()",
        tests=("tests/database/web/test_admin_plans.py::test_lists_read_only_a_page_when_tables_are_large",),
    ),
)
