"""Mutations of the pages: what an open page takes from the person who uses it, and what its list leaves out."""

from __future__ import annotations

from tests.mutations.patch import Patch

_BROWSER = "tests/browser/test_list_in_chromium.py"
_EXCHANGE = "tests/browser/test_exchange_in_chromium.py"
_LISTS = "tests/database/web/test_video_lists.py"
_PAGES = "tests/database/web/test_pages.py"

PAGE_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a page loads itself again",
        promise=18,
        file="tasks/static/batchreel/progress.js",
        old="  await refresh(changed.map(([block]) => block.dataset.video), except);\n",
        new="  location.reload();\n",
        tests=(f"{_BROWSER}::test_list_keeps_a_form_that_is_filled_in_when_another_video_becomes_ready",),
    ),
    Patch(
        name="an exchanged block loses what was typed",
        promise=18,
        file="tasks/static/batchreel/live/exchange.js",
        old="  keepFields(from, to);\n",
        new="",
        tests=(f"{_EXCHANGE}::test_exchange_keeps_what_a_person_does_when_a_block_has_changed",),
    ),
    Patch(
        name="a dialog is closed by an exchange",
        promise=18,
        file="tasks/static/batchreel/live/exchange.js",
        old="    if (dialog) dialog",
        new="    if (false) dialog",
        tests=(f"{_EXCHANGE}::test_exchange_keeps_what_a_person_does_when_a_block_has_changed",),
    ),
    Patch(
        name="an exchange takes the focus",
        promise=18,
        file="tasks/static/batchreel/live/exchange.js",
        old="  if (focused) focusAgain(focused, from, to);\n",
        new="",
        tests=(f"{_EXCHANGE}::test_focus_stays_in_its_block_when_the_focused_element_is_exchanged",),
        long=True,
    ),
    Patch(
        name="back brings an old list",
        promise=18,
        file="tasks/static/batchreel/progress.js",
        old="    isStale = true;\n",
        new="",
        tests=(f"{_BROWSER}::test_form_works_and_the_list_is_current_when_back_brings_the_page_home",),
    ),
    Patch(
        name="a repeated upload makes a second video",
        promise=18,
        file="tasks/views/upload.py",
        old='            video_id=self.cleaned_data["id"],\n',
        new="",
        tests=(f"{_PAGES}::test_upload_returns_the_same_video_when_its_request_is_repeated",),
    ),
    Patch(
        name="a video without a job is in no group",
        promise=18,
        file="tasks/selectors/lists.py",
        old="Q(source_complete=False) | unrequested | ~Q",
        new="Q(source_complete=False) | ~Q",
        tests=(f"{_LISTS}::test_list_has_each_video_in_one_group_when_videos_are_in_every_state",),
    ),
    Patch(
        name="a search reveals owners",
        promise=18,
        file="tasks/selectors/lists.py",
        old="_matches(listing.search, with_owners=others)",
        new="_matches(listing.search, with_owners=True)",
        tests=(f"{_LISTS}::test_list_reveals_no_owner_when_a_person_sees_only_their_own_videos",),
    ),
    Patch(
        name="the address of a form ends in an error",
        promise=18,
        file="tasks/views/access.py",
        old='            if request.method in {"GET", "HEAD"}:\n',
        new="            if False:\n",
        tests=(f"{_PAGES}::test_address_of_a_form_leads_to_its_page_when_it_is_requested_with_get",),
    ),
)
