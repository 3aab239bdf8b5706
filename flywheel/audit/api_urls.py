"""REST endpoints, below /api/v1/."""

from django.urls import path

from flywheel.audit import api

urlpatterns = [path("ledger/", api.Ledger.as_view(), name="api_ledger")]
