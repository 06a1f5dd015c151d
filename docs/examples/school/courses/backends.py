from django.contrib.auth.backends import BaseBackend

from courses.models import Enrolment


class EnrolledBackend(BaseBackend):
    """Lets students watch the videos of their courses."""

    def has_perm(self, user_obj, perm, obj=None):
        """Return whether this permission is that to watch, and the user is enrolled in the course of the video."""
        return (
            perm == "batchreel.watch_video"
            and obj is not None
            and user_obj.is_authenticated
            and Enrolment.objects.filter(student=user_obj, course__lessons__video=obj).exists()
        )
