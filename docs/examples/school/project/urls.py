from batchreel.views.body_limit import accepts_large_bodies
from courses.views import add_lesson, course, lesson
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="batchreel/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("courses/<uuid:course_id>/", course, name="course"),
    path("courses/<uuid:course_id>/lessons/", accepts_large_bodies()(add_lesson), name="add-lesson"),
    path("lessons/<int:lesson_id>/", lesson, name="lesson"),
    path("lectures/", include("batchreel.urls")),
]
