"""The list with the form for uploads, and what is sent with that form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from ...conf import bridge_settings
from ...selectors.access import may_upload
from ...selectors.lists import Group, Listing, Sort, listed, name_of, owner_of, sees_others
from ...services.requests.quota import QuotaError, check_upload
from ...storage.aliases import sources_bucket
from ..access import (
    QUOTA_STATUS,
    NoUploadError,
    html_view,
    json_error,
    page,
    post_only,
    require_upload,
    signed_in_view,
    wants_json,
)
from ..body_limit import accepts_large_bodies
from ..upload import UploadForm
from .cards import cards_of

PAGE_VIDEOS = 24
"""Videos per page of the list: eight rows of three, or twelve of two."""


class ListingForm(forms.Form):
    """The fields above the list. What is none of the choices counts as the first one: an address may be old."""

    q = forms.CharField(
        required=False,
        max_length=200,
        label=_("Search"),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    status = forms.ChoiceField(required=False, choices=Group.choices, label=_("Show"))
    sort = forms.ChoiceField(required=False, choices=Sort.choices, label=_("Order"))
    owner = forms.CharField(required=False, widget=forms.HiddenInput)

    def listing(self, *, with_owners: bool) -> Listing:
        """Return what the fields ask for. The owner counts for people who see the videos of others."""
        self.is_valid()
        given = {"sort": "", "status": "", "q": "", "owner": "", **self.cleaned_data}
        return Listing(
            search=given["q"],
            group=Group(given["status"]),
            sort=Sort(given["sort"] or Sort.NEWEST),
            owner=owner_of(given["owner"]) if with_owners else None,
        )


@require_safe
@html_view
def video_list(request: HttpRequest) -> HttpResponse:
    """Show the user's videos, newest first, and the upload form to those who may upload.

    `?q=` has words to search for, `?status=` a group of states, `?sort=` an order, `?owner=` the primary key of an
    owner, `?page=` the page.
    """
    return _list_page(request, UploadForm())


def _check_form_upload(request: HttpRequest, size_bytes: int) -> None:
    """Raise NoUploadError, or QuotaError if a body of this size has a file that is above the user's quotas.

    The form's other fields have up to `body_limit_bytes`; the file's own size is checked when it has arrived.
    """
    require_upload(request)
    check_upload(request.user, size_bytes=size_bytes - bridge_settings().body_limit_bytes, direct=False)


@accepts_large_bodies(if_true=lambda: sources_bucket() is None, check=_check_form_upload)
@post_only("batchreel:list")
def upload(request: HttpRequest) -> HttpResponseBase:
    """Accept an upload: of any size if the storage is a folder, otherwise of a small file.

    The response to a script (Accept: application/json) is JSON with the video's id and URL or the errors; the
    response to a form is a page.
    """
    return _upload_json(request) if wants_json(request) else _upload_page(request)


@signed_in_view
def _upload_json(request: HttpRequest) -> JsonResponse:
    require_upload(request)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return json_error(400, "INVALID", *(str(error) for errors in form.errors.values() for error in errors))
    video = form.save(owner=request.user)
    return JsonResponse({"video": str(video.pk), "url": reverse("batchreel:video", args=[video.pk])}, status=201)


@html_view
def _upload_page(request: HttpRequest) -> HttpResponse:
    try:
        require_upload(request)
    except NoUploadError as error:
        messages.error(request, str(error))
        return _list_page(request, UploadForm(), status=403)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _list_page(request, form, status=400)
    try:
        video = form.save(owner=request.user)
    except QuotaError as error:
        form.add_error("source", f"{error} ({error.code})")
        return _list_page(request, form, status=QUOTA_STATUS)
    return redirect("batchreel:video", video.pk)


def _list_page(request: HttpRequest, form: UploadForm, *, status: int = 200) -> HttpResponse:
    with_owners = sees_others(request.user)
    fields = ListingForm(request.GET)
    listing = fields.listing(with_owners=with_owners)
    shown = Paginator(listed(request.user, listing), PAGE_VIDEOS).get_page(request.GET.get("page"))
    videos = list(shown.object_list)
    context = {
        "form": form,
        "fields": fields,
        "listing": listing,
        "page": shown,
        "page_numbers": _page_numbers(shown),
        "cards": cards_of(videos, with_owners=with_owners),
        "owner_name": name_of(listing.owner) if listing.owner else "",
        "uploads_in_parts": sources_bucket() is not None,
        "may_upload": may_upload(request.user) and (form.is_bound or _is_first(shown, listing)),
        "prepends": _is_first(shown, listing) and listing.sort == Sort.NEWEST,
    }
    return page(request, "batchreel/list.html", context, status=status)


def _is_first(shown: Page[Any], listing: Listing) -> bool:
    """Return whether this is the page with which a visit begins, which also has the form for uploads."""
    return shown.number == 1 and not listing.is_narrowed


def _page_numbers(shown: Page[Any]) -> list[int | None]:
    """Return the numbers of pages that the list links to, with None for a gap."""
    numbers = shown.paginator.get_elided_page_range(shown.number, on_each_side=2, on_ends=1)
    return [number if isinstance(number, int) else None for number in numbers]
