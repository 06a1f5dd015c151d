from django.contrib import admin

from courses.models import Course, Enrolment, Lesson

admin.site.register([Course, Enrolment, Lesson])
