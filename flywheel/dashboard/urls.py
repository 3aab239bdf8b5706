"""Pages."""

from django.urls import path

from flywheel.dashboard.views import answers, clearance, home, jobs, lineage, records, withdrawals

app_name = "dashboard"

urlpatterns = [
    path("", home.index, name="index"),
    path("wheel/", home.wheel_page, name="wheel"),
    path("wheel/answers/", answers.listing, name="answers"),
    path("jobs/", jobs.listing, name="jobs"),
    path("jobs/<uuid:uid>/", jobs.row, name="job"),
    path("jobs/<uuid:uid>/cancel/", jobs.cancel, name="job_cancel"),
    path("examples/<uuid:uid>/", lineage.page, name="lineage"),
    path("clearance/", clearance.page, name="clearance"),
    path("clearance/<slug:purpose>/<slug:rule>/", clearance.listing, name="clearance_list"),
    path("records/<uuid:uid>/", records.page, name="record"),
    path("records/<uuid:uid>/<slug:decision>/", records.decide, name="record_decide"),
    path("subjects/<uuid:uid>/withdraw/", withdrawals.subject_withdraw, name="subject_withdraw"),
    path("subjects/<uuid:uid>/reach/<str:name>/", withdrawals.subject_reach, name="subject_reach"),
]
