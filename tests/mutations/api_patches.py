"""Mutations of the REST API, and of replacing the file of a video."""

from __future__ import annotations

from tests.mutations.patch import Patch

_API = "tests/database/api"
_ONCE, _LISTS = f"{_API}/test_repeated_requests.py", f"{_API}/test_lists.py"
_PROBLEMS, _UPLOADS = f"{_API}/test_problems.py", f"{_API}/test_uploads_api.py"

API_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="two requests with a key of the API run at once",
        promise=17,
        file="tasks/services/requests/idempotency.py",
        old="    if row.claimed_at is not None and not ",
        new="    if False and not ",
        tests=(f"{_ONCE}::test_one_link_is_created_when_two_requests_with_a_key_run_at_once",),
    ),
    Patch(
        name="a repeated request creates another video",
        promise=17,
        file="tasks/api/protocol/once.py",
        old="create(claim.target_id)",
        new="create(uuid.uuid4())",
        tests=(f"{_ONCE}::test_nothing_is_created_twice_when_the_response_was_lost_after_the_commit",),
    ),
    Patch(
        name="an endpoint stays although its response was lost",
        promise=17,
        file="tasks/api/protocol/once.py",
        old="transaction.atomic() if in_one_transaction else nullcontext()",
        new="nullcontext()",
        tests=(f"{_ONCE}::test_endpoint_is_rolled_back_when_its_response_cannot_be_stored",),
    ),
    Patch(
        name="a key of the API serves another request",
        promise=17,
        file="tasks/services/requests/idempotency.py",
        old="    if row.request_hash != request_hash:\n",
        new="    if False:\n",
        tests=(f"{_ONCE}::test_key_is_refused_when_it_was_used_for_another_request",),
    ),
    Patch(
        name="kept responses show their secrets",
        promise=17,
        file="tasks/services/requests/idempotency.py",
        old='encrypt(json.dumps({"headers": response.headers, "body": response.body}))',
        new='json.dumps({"headers": response.headers, "body": response.body})',
        tests=(f"{_ONCE}::test_secret_is_the_same_and_stored_encrypted_when_a_webhook_is_created_again",),
    ),
    Patch(
        name="a list skips rows with equal times",
        promise=17,
        file="tasks/api/protocol/pages.py",
        old='Q(created_at__lt=edge.at) | Q(("pk__lte" if edge.inclusive else "pk__lt", edge.pk), created_at=edge.at)',
        new="Q(created_at__lt=edge.at)",
        tests=(f"{_LISTS}::test_every_row_is_listed_once_in_both_directions_when_a_thousand_have_the_same_time",),
    ),
    Patch(
        name="the API is open to people without an account",
        promise=17,
        file="tasks/api/endpoint.py",
        old="return bool(request.user and request.user.is_authenticated and request.user.is_active)",
        new="return True",
        tests=(f"{_API}/test_who_may_api.py::test_anonymous_people_reach_no_data_when_everyone_may_watch_a_video",),
    ),
    Patch(
        name="staff may manage webhooks",
        promise=17,
        file="tasks/api/endpoint.py",
        old="if not may_with_model(self.request.user, permission):",
        new='if not (getattr(self.request.user, "is_staff", False) or may_with_model(self.request.user, permission)):',
        tests=(f"{_API}/test_who_may_api.py::test_every_person_gets_what_they_may_when_they_use_an_operation",),
    ),
    Patch(
        name="a change overwrites what another client has changed",
        promise=17,
        file="tasks/services/requests/edit.py",
        old="    check(video)\n",
        new="",
        tests=(f"{_API}/test_conditional.py::test_change_between_the_check_and_the_write_is_seen_when_it_comes_first",),
    ),
    Patch(
        name="deep nesting is a fault",
        promise=17,
        file="tasks/api/protocol/bodies.py",
        old="        except RecursionError:\n",
        new="        except ZeroDivisionError:\n",
        tests=(f"{_PROBLEMS}::test_body_is_a_problem_when_it_is_no_plain_json",),
    ),
    Patch(
        name="mistyped names are ignored",
        promise=17,
        file="tasks/api/protocol/fields.py",
        old="        if unknown:\n",
        new="        if False:\n",
        tests=(f"{_PROBLEMS}::test_fields_are_named_when_they_are_not_valid",),
    ),
    Patch(
        name="one user takes all requests of the API",
        promise=17,
        file="tasks/api/protocol/throttling.py",
        old='        return f"{number}/min" if number else None\n',
        new="        return None\n",
        tests=(f"{_PROBLEMS}::test_requests_are_refused_when_a_user_sends_too_many",),
    ),
    Patch(
        name="the API is down while the cache is",
        promise=7,
        file="tasks/api/protocol/throttling.py",
        old='            logger.warning("API_THROTTLE_OFF %s", error)\n            return True\n',
        new="            raise RuntimeError from error\n",
        tests=(f"{_PROBLEMS}::test_requests_are_answered_when_the_cache_is_down",),
    ),
    Patch(
        name="an aborted replacement deletes the video",
        promise=2,
        file="tasks/services/requests/direct_upload.py",
        old="    if not upload.video.source_complete:\n",
        new="    if True:\n",
        tests=(f"{_UPLOADS}::test_video_stays_as_it_is_when_its_replacement_is_aborted",),
    ),
    Patch(
        name="an aborted upload becomes the file of its video",
        promise=2,
        file="tasks/services/requests/direct_upload.py",
        old="    if not removed:\n",
        new="    if False:\n",
        tests=(f"{_UPLOADS}::test_nothing_is_replaced_when_the_upload_was_aborted_while_it_was_assembled",),
    ),
    Patch(
        name="two replacements of a file begin at once",
        promise=4,
        file="tasks/services/requests/replace.py",
        old="    _open_upload(video, size_bytes=None)\n    return video\n",
        new="    DirectUpload.objects.filter(video=video).delete()\n    return video\n",
        tests=(f"{_UPLOADS}::test_multipart_upload_is_aborted_when_another_replacement_begins_meanwhile",),
    ),
)
