"""Pages."""

from django.urls import path

from provenance import views

app_name = "provenance"

urlpatterns = [
    path("subjects/", views.subjects, name="subjects"),
    path("subjects/<uuid:uid>/", views.subject_page, name="subject"),
    path("withdrawals/<uuid:uid>/", views.withdrawal_page, name="withdrawal"),
]
