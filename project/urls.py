"""URLs: the pages at the root, the REST API if its packages are installed, the admin, login and logout."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazystr
from django.views.generic import RedirectView


class SignOutView(LogoutView):
    """Sign out by POST. GET, which may come from the history, signs nobody out and leads to the list."""

    http_method_names = ["get", "head", "post", "options"]

    def get(self, request: HttpRequest, *_args: object, **_options: object) -> HttpResponse:
        """Redirect to the list."""
        return redirect("batchreel:list")


urlpatterns = [
    path("admin/", admin.site.urls),
    path(
        "login/",
        LoginView.as_view(template_name="batchreel/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", SignOutView.as_view(), name="logout"),
    # Browsers request it on pages without their own icon, such as those of the admin.
    path("favicon.ico", RedirectView.as_view(url=lazystr(static("batchreel/icon.svg")))),
    *([path("api/", include("tasks.api.urls"))] if settings.HAS_API else []),
    path("", include("tasks.urls")),
]
