"""Mutations of speech and of automatic captions."""

from __future__ import annotations

from tests.mutations.patch import Patch

_UNITS = "tests/database/services/test_speech_units.py"
_CAPTIONS = "tests/database/services/test_automatic_captions.py"
_RUN, _ADOPT = "tasks/transcode/speech/run.py", "tasks/services/editions/automatic.py"

SPEECH_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a file is transcribed again",
        promise=2,
        file=_ADOPT,
        old="    if video.transcribed_source != job.source_name:\n",
        new="    if True:\n",
        tests=(f"{_CAPTIONS}::test_what_a_person_did_stays_when_the_same_file_is_encoded_again",),
    ),
    Patch(
        name="automatic captions stand next to those of a person",
        promise=2,
        file=_ADOPT,
        old="    if is_taken or len",
        new="    if len",
        tests=(f"{_CAPTIONS}::test_captions_of_a_person_stay_alone_when_speech_has_their_language",),
    ),
    Patch(
        name="a new file is published with the automatic captions of the old one",
        promise=2,
        file="tasks/services/editions/rows.py",
        old='Captions.objects.filter(video=video, transcribed_source__in=["", job.source_name])',
        new="Captions.objects.filter(video=video)",
        tests=(f"{_CAPTIONS}::test_captions_of_the_old_file_go_in_the_step_that_shows_the_new_one",),
    ),
    Patch(
        name="edited captions are overwritten by one who began before",
        promise=3,
        file="tasks/services/editing/captions.py",
        old="        if seen_edit is not None and captions.edit != seen_edit:\n",
        new="        if False:\n",
        tests=(f"{_CAPTIONS}::test_text_of_another_person_stays_when_one_began_to_edit_before",),
    ),
    Patch(
        name="speech waits forever for a container with an engine",
        promise=5,
        file="tasks/services/container_api/claim.py",
        old="        if transcribes or _must_give_up_speech(left, attempt):\n",
        new="        if transcribes:\n",
        tests=(f"{_UNITS}::test_last_container_gives_speech_up_when_it_has_no_engine",),
    ),
    Patch(
        name="a helper without an engine gives up speech that another container can do",
        promise=12,
        file="tasks/services/container_api/claim.py",
        old=".exists() and not others.exists()\n",
        new=".exists()\n",
        tests=(f"{_UNITS}::test_helper_without_an_engine_gets_no_speech_when_another_container_works",),
    ),
    Patch(
        name="a failing engine fails the video",
        promise=14,
        file="tasks/container/units/speech.py",
        old="    except SpeechError as error:\n        return _fault(error.code, error.message)\n",
        new="    finally:\n        pass\n",
        tests=(f"{_UNITS}::test_video_is_published_with_a_warning_when_the_engine_fails",),
    ),
    Patch(
        name="a part that ends containers is done until the job is dead",
        promise=14,
        file="tasks/container/units/speech.py",
        old="    if lease.fence > _MOST_LEASES:\n",
        new="    if False:\n",
        tests=(f"{_UNITS}::test_part_is_given_up_when_containers_end_with_it_again_and_again",),
    ),
    Patch(
        name="what is at the border of two parts is shown twice",
        promise=2,
        file=_RUN,
        old="if start_s <= (row[0] + row[1]) / 2 < stop_s and row[1] > row[0]",
        new="if row[1] > row[0]",
        tests=("tests/media/test_speech.py::test_texts_are_at_their_times_and_in_one_part_when_a_border_divides_them",),
    ),
)
