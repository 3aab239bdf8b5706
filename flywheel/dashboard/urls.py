"""Pages."""

from django.urls import path

from flywheel.dashboard.views import answers, home, jobs, lineage

app_name = "dashboard"

urlpatterns = [
    path("", home.index, name="index"),
    path("wheel/", home.wheel_page, name="wheel"),
    path("wheel/answers/", answers.listing, name="answers"),
    path("jobs/", jobs.listing, name="jobs"),
    path("jobs/<uuid:uid>/", jobs.row, name="job"),
    path("jobs/<uuid:uid>/cancel/", jobs.cancel, name="job_cancel"),
    path("examples/<uuid:uid>/", lineage.page, name="lineage"),
]
