import uuid

from batchreel.models import Video
from batchreel.signals import deletion_requested
from django.conf import settings
from django.db import models
from django.dispatch import receiver


class Course(models.Model):
    """A course of one teacher."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    teacher = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.title


class Enrolment(models.Model):
    """A student of a course."""

    course = models.ForeignKey(Course, related_name="enrolments", on_delete=models.CASCADE)
    student = models.ForeignKey(settings.AUTH_USER_MODEL, related_name="enrolments", on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "student"], name="one_enrolment")]

    def __str__(self) -> str:
        return f"{self.student} in {self.course}"


class Lesson(models.Model):
    """A lesson with one video, which may be deleted before the lesson is."""

    course = models.ForeignKey(Course, related_name="lessons", on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    video = models.OneToOneField(Video, null=True, blank=True, on_delete=models.SET_NULL)

    def __str__(self) -> str:
        return self.title


@receiver(deletion_requested)
def forget_video(video_id, **_):
    """Release a deleted video. Batchreel removes its row later, in the database only, so SET_NULL would not apply."""
    Lesson.objects.filter(video_id=video_id).update(video=None)
