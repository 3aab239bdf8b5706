"""Pages."""

from django.urls import path

from flywheel.audit import views

app_name = "audit"

urlpatterns = [
    path("ledger/", views.ledger, name="ledger"),
    path("ledger/verify/", views.verify, name="ledger_verify"),
]
