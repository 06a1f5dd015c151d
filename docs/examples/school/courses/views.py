from batchreel.models import Video
from batchreel.selectors.access import allowed
from batchreel.selectors.videos import video_overview
from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from courses.models import Course, Lesson


class LessonForm(forms.Form):
    title = forms.CharField(max_length=200)
    file = forms.FileField()


@login_required
def course(request, course_id):
    """Show the teacher's course with the status of each video."""
    course = get_object_or_404(Course, pk=course_id, teacher=request.user)
    lessons = [
        (lesson, video_overview(lesson.video) if lesson.video else None)
        for lesson in course.lessons.select_related("video")
    ]
    return render(request, "courses/course.html", {"course": course, "lessons": lessons, "form": LessonForm()})


@login_required
def lesson(request, lesson_id):
    """Show a lesson with its video to the people who may watch it. For everyone else, there is no such lesson."""
    lesson = get_object_or_404(Lesson.objects.select_related("video"), pk=lesson_id, video__isnull=False)
    if not allowed(request.user, "watch", lesson.video):
        raise Http404
    return render(request, "courses/lesson.html", {"lesson": lesson})


@login_required
@require_POST
def add_lesson(request, course_id):
    """Add a lesson with an uploaded video. Saving the file creates the video's job in the same transaction."""
    course = get_object_or_404(Course, pk=course_id, teacher=request.user)
    form = LessonForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "courses/course.html", {"course": course, "lessons": [], "form": form}, status=400)
    video = Video(title=form.cleaned_data["title"], owner=request.user)
    video.source.save(form.cleaned_data["file"].name, form.cleaned_data["file"])
    Lesson.objects.create(course=course, title=form.cleaned_data["title"], video=video)
    return redirect("course", course_id=course.pk)
