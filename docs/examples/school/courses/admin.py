from django.contrib import admin

from courses.models import Course, Lesson

admin.site.register([Course, Lesson])
