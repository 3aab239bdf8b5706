"""REST endpoints, below /api/v1/."""

from django.urls import path

from provenance import api

urlpatterns = [
    path("consents/", api.Consents.as_view(), name="api_consents"),
    path("consents/<path:record_id>/events/", api.ConsentEvents.as_view(), name="api_consent_events"),
    path("subjects/<uuid:uid>/withdraw/", api.SubjectWithdraw.as_view(), name="api_subject_withdraw"),
    path("withdrawals/<uuid:uid>/", api.WithdrawalDetail.as_view(), name="api_withdrawal"),
    path("records/<uuid:uid>/verdict/", api.RecordVerdict.as_view(), name="api_record_verdict"),
]
