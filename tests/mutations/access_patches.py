"""Mutations of who may watch: permissions, visibility, share links, frames, and signatures for a CDN."""

from __future__ import annotations

from tests.mutations.patch import Patch

_WEB = "tests/database/web"
_WHO = f"{_WEB}/test_who_may.py"
_SHARE = f"{_WEB}/test_share_links.py"
_EMBED = f"{_WEB}/test_embed.py"
_CDN = f"{_WEB}/test_cdn_cookies.py"
_WATCHING = f"{_WEB}/test_watching.py"

ACCESS_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="every account may watch private videos",
        promise=17,
        file="tasks/selectors/access.py",
        old='action == "watch" and video.visibility == Visibility.SIGNED_IN',
        new='action == "watch"',
        tests=(f"{_WHO}::test_every_person_gets_what_they_may_when_they_open_a_url",),
    ),
    Patch(
        name="everyone may change a video that everyone may watch",
        promise=17,
        file="tasks/selectors/access.py",
        old='if action == "watch" and video.visibility == Visibility.LINK:',
        new="if video.visibility == Visibility.LINK:",
        tests=(f"{_WHO}::test_nobody_else_may_change_a_video_when_everyone_may_watch_it",),
    ),
    Patch(
        name="permissions for one video are not asked for",
        promise=17,
        file="tasks/selectors/access.py",
        old=" or (video is not None and has_perm(name, video))",
        new="",
        tests=(f"{_WHO}::test_permission_opens_what_it_names_when_it_is_for_one_video_or_for_all",),
    ),
    Patch(
        name="accounts that are not active keep their rights",
        promise=17,
        file="tasks/selectors/access.py",
        old="if user.is_authenticated and user.is_active:",
        new="if user.is_authenticated:",
        tests=(f"{_WHO}::test_account_that_is_not_active_has_no_rights_when_a_backend_gives_some",),
    ),
    Patch(
        name="media are served to everyone",
        promise=17,
        file="tasks/views/media.py",
        old="    video_for(request, video_id)\n\n\ndef _from_bucket",
        new="\n\ndef _from_bucket",
        tests=(f"{_WHO}::test_every_person_gets_what_they_may_when_they_open_a_url",),
    ),
    Patch(
        name="accounts that only watch may upload",
        promise=17,
        file="tasks/views/access.py",
        old="    if not may_upload(request.user):\n",
        new="    if False:\n",
        tests=(f"{_WHO}::test_every_person_gets_what_they_may_when_they_open_a_url",),
    ),
    Patch(
        name="a share link never expires",
        promise=17,
        file="tasks/selectors/share_links.py",
        old="ShareLink.objects.filter(expires_at__gt=Now())",
        new="ShareLink.objects.all()",
        tests=(f"{_WHO}::test_every_person_gets_what_they_may_when_they_open_a_url",),
    ),
    Patch(
        name="a share link opens every video",
        promise=17,
        file="tasks/selectors/share_links.py",
        old="filter(pk__in=links, video=video)",
        new="filter(pk__in=links)",
        tests=(f"{_SHARE}::test_link_opens_one_video_only_when_it_is_used",),
    ),
    Patch(
        name="the id of a share link's row opens it",
        promise=17,
        file="tasks/selectors/share_links.py",
        old='_signer().unsign(token) + "=="',
        new='token.partition(".")[0] + "=="',
        tests=(f"{_SHARE}::test_link_opens_nothing_when_its_signature_is_not_the_sites",),
    ),
    Patch(
        name="the referer reveals a share link",
        promise=17,
        file="tasks/views/shares.py",
        old='    response["Referrer-Policy"] = "no-referrer"\n',
        new="",
        tests=(f"{_SHARE}::test_address_of_the_page_and_its_referer_reveal_nothing_when_a_link_is_opened",),
    ),
    Patch(
        name="watchers read what failed",
        promise=17,
        file="tasks/views/progress.py",
        old="overview.message if is_viewed else overview.watcher_message",
        new="overview.message",
        tests=(f"{_WHO}::test_watchers_read_nothing_of_what_failed_when_a_new_version_did",),
    ),
    Patch(
        name="every site may show the embed page in a frame",
        promise=17,
        file="tasks/views/embed.py",
        old="""bridge_settings().frame_ancestors or ["'none'"]""",
        new='["*"]',
        tests=(f"{_EMBED}::test_frames_are_allowed_on_the_sites_of_the_setting_when_it_is_an_embed_page",),
    ),
    Patch(
        name="oembed answers for addresses of other sites",
        promise=17,
        file="tasks/views/embed.py",
        old="    if url.netloc != request.get_host():\n",
        new="    if False:\n",
        tests=(f"{_EMBED}::test_oembed_is_refused_when_the_url_is_not_a_videos",),
    ),
    Patch(
        name="private pages announce themselves",
        promise=17,
        file="tasks/views/pages.py",
        old="    if video.visibility == Visibility.LINK:\n",
        new="    if True:\n",
        tests=(f"{_EMBED}::test_page_announces_the_video_to_other_sites_when_everyone_with_the_address_may_watch",),
    ),
    Patch(
        name="signed cookies open all publications",
        promise=17,
        file="tasks/storage/cdn.py",
        old='f"{key.base_url}/{folder}/*"',
        new='f"{key.base_url}/*"',
        tests=(f"{_CDN}::test_cookies_open_one_publication_until_their_end_when_a_person_may_watch",),
    ),
    Patch(
        name="a share link opens the video in one language",
        promise=17,
        file="tasks/views/cookies.py",
        old="path=get_script_prefix(),",
        new='path=request.path.rpartition("share/")[0],',
        tests=(
            f"{_WEB}/test_host_pages.py::test_share_link_opens_the_video_in_every_language_when_addresses_begin_with_one",
        ),
    ),
    Patch(
        name="positions are kept although the site does not want that",
        promise=17,
        file="tasks/selectors/player.py",
        old="user.is_authenticated and bridge_settings().keep_watch_positions)",
        new="user.is_authenticated)",
        tests=(f"{_WATCHING}::test_nothing_is_kept_when_the_setting_is_off_or_nobody_is_signed_in",),
    ),
    Patch(
        name="people continue where others have stopped",
        promise=17,
        file="tasks/selectors/player.py",
        old="filter(video=video, user=user.pk)",
        new="filter(video=video)",
        tests=(f"{_WATCHING}::test_person_continues_where_they_stopped_when_the_site_keeps_positions",),
    ),
    Patch(
        name="positions outlive a purged video",
        promise=17,
        file="tasks/services/removal/purge.py",
        old="    WatchPosition.objects.filter(video_id=video_id).delete()\n",
        new="",
        tests=(f"{_WATCHING}::test_positions_are_removed_when_the_person_or_the_video_is",),
    ),
    Patch(
        name="images of the seek bar have no signature",
        promise=17,
        file="tasks/views/watching/thumbnails.py",
        old="signed_url(signing, url, until=signed_until()) if signing else url",
        new="url",
        tests=(f"{_WATCHING}::test_images_of_the_seek_bar_are_signed_when_the_cdn_requires_that",),
    ),
)
