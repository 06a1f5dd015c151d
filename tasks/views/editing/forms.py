"""The forms of the page on which people change a video. They work without JavaScript."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ...models import MAX_DESCRIPTION_CHARS, CaptionPurpose, Captions, Video
from ...services.editing.captions import editable_text
from ...services.editing.chapters import chapters_as_text
from ...transcode.caption_files.read import MAX_FILE_BYTES
from ..upload import size_problem

CAPTION_SUFFIXES = ".srt,.vtt,.ass,.ssa"
LANGUAGES = (
    *("en", "de", "fr", "es", "it", "nl", "pt", "pt-BR", "pl", "cs", "sv", "da", "nb", "fi", "hu", "ro", "el", "tr"),
    *("ru", "uk", "bg", "hr", "sr", "he", "ar", "fa", "hi", "bn", "th", "vi", "id", "ko", "ja", "zh", "zh-Hant"),
)
"""Tags that the form suggests. Any other may be entered."""


class DetailsForm(forms.Form):
    """Title, description, and whether the owner wants a mail."""

    title = forms.CharField(
        label=_("Title"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Enter a title.")},
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=MAX_DESCRIPTION_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("Plain text, shown under the player. Line breaks are kept."),
    )
    mail_wanted = forms.BooleanField(
        label=_("Send me a mail when the video can be watched, or has failed"), required=False
    )

    def __init__(self, *args: Any, offers_mail: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if not offers_mail:
            del self.fields["mail_wanted"]

    def clean_description(self) -> str:
        """Keep line breaks as they are stored everywhere else."""
        return str(self.cleaned_data["description"]).replace("\r\n", "\n")

    @classmethod
    def of(cls, video: Video, *, offers_mail: bool) -> DetailsForm:
        """Return the form with the present values."""
        values = {"title": video.title, "description": video.description, "mail_wanted": video.mail_wanted}
        return cls(initial=values, offers_mail=offers_mail, auto_id="details-%s")


class TrackForm(forms.Form):
    """Language, purpose and name of captions."""

    language = forms.CharField(
        label=_("Language"),
        max_length=35,
        widget=forms.TextInput(attrs={"list": "languages", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("A tag such as en, de or pt-BR."),
        error_messages={"required": _("Enter the language of the captions.")},
    )
    purpose = forms.ChoiceField(label=_("Kind"), choices=CaptionPurpose.choices, required=False)
    name = forms.CharField(
        label=_("Name in the player"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Without one, the name of the language."),
    )

    @classmethod
    def of(cls, captions: Captions) -> TrackForm:
        """Return the form with the present values of one track."""
        values = {"language": captions.language, "purpose": captions.purpose, "name": captions.name}
        return cls(initial=values, auto_id=f"captions-{captions.pk}-%s")


class CaptionsForm(TrackForm):
    """A caption file for a video."""

    file = forms.FileField(
        label=_("Caption file"),
        widget=forms.ClearableFileInput(attrs={"accept": CAPTION_SUFFIXES}),
        help_text=_("SubRip (.srt), WebVTT (.vtt) or SubStation Alpha (.ass)."),
        error_messages={"required": _("Choose a caption file."), "empty": _("The file is empty.")},
    )
    field_order = ("file", "language", "purpose", "name")


class TextForm(forms.Form):
    """The text of captions, as WebVTT."""

    text = forms.CharField(
        label=_("Times and texts"),
        max_length=MAX_FILE_BYTES,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "true", "dir": "auto"}),
        help_text=_("WebVTT: a line with the times, the text below it, and an empty line between two texts."),
        error_messages={"required": _("There is no text. To have no captions, remove them.")},
    )
    seen_edit = forms.IntegerField(widget=forms.HiddenInput)

    def clean_text(self) -> str:
        """Keep line breaks as they are stored everywhere else."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    @classmethod
    def of(cls, captions: Captions) -> TextForm:
        """Return the form with the present text."""
        return cls(initial={"text": editable_text(captions), "seen_edit": captions.edit}, auto_id="text-%s")


class ChaptersForm(forms.Form):
    """Chapters, a line each."""

    text = forms.CharField(
        label=_("Times and titles"),
        max_length=200_000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "true", "placeholder": "0:00 …\n4:05 …\n1:02:30 …"}),
        help_text=_("A line for each: when it begins, and its title. Without any, the chapters of the file are shown."),
    )

    @classmethod
    def of(cls, video: Video) -> ChaptersForm:
        """Return the form with the entered chapters."""
        return cls(initial={"text": chapters_as_text(video.chapters or ())}, auto_id="chapters-%s")


class ReplaceForm(forms.Form):
    """A new file for a video."""

    source = forms.FileField(
        label=_("New video file"),
        max_length=255,
        widget=forms.ClearableFileInput(attrs={"accept": "video/*,.mkv,.ts,.mts"}),
        error_messages={"required": _("Choose a video file."), "empty": _("The file is empty.")},
    )

    def clean_source(self) -> Any:
        """Reject a file that is empty or too large."""
        file = self.cleaned_data["source"]
        if problem := size_problem(file.size):
            raise forms.ValidationError(problem)
        return file
