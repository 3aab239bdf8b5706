"""Pages."""

from django.urls import path

from provenance import views

app_name = "provenance"

urlpatterns = [
    path("clearance/", views.clearance, name="clearance"),
    path("clearance/<slug:purpose>/<slug:rule>/", views.clearance_list, name="clearance_list"),
    path("records/<uuid:uid>/", views.record_page, name="record"),
    path("records/<uuid:uid>/<slug:decision>/", views.record_decide, name="record_decide"),
    path("subjects/", views.subjects, name="subjects"),
    path("subjects/<uuid:uid>/", views.subject_page, name="subject"),
    path("subjects/<uuid:uid>/withdraw/", views.subject_withdraw, name="subject_withdraw"),
    path("subjects/<uuid:uid>/reach/<str:name>/", views.subject_reach, name="subject_reach"),
    path("withdrawals/<uuid:uid>/", views.withdrawal_page, name="withdrawal"),
]
