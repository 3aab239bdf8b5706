"""REST: consent records and events, withdrawals, verdicts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from flywheel.core.errors import ValidationFailed
from flywheel.core.http import AuthenticatedApiRequest
from provenance import access, services
from provenance.domain.vocabulary import PURPOSES
from provenance.models import ConsentRecord, Withdrawal


class EventIn(serializers.Serializer[Any]):
    event_time = serializers.DateTimeField()
    event_type = serializers.CharField(required=False, max_length=60)
    event_state = serializers.CharField(max_length=60)
    entity_id = serializers.CharField(required=False, max_length=200)
    validity_duration = serializers.CharField(required=False, allow_null=True, help_text="ISO 8601, such as P1Y")


class ConsentIn(serializers.Serializer[Any]):
    namespace = serializers.CharField(max_length=100)
    subject_ref = serializers.CharField(max_length=300)
    record_id = serializers.CharField(max_length=200)
    purposes = serializers.ListField(child=serializers.ChoiceField(choices=PURPOSES))
    lawful_basis = serializers.CharField(required=False, max_length=60)
    privacy_notice = serializers.CharField(required=False, max_length=500)
    language = serializers.CharField(required=False, max_length=20)
    jurisdiction = serializers.CharField(required=False, max_length=60)
    collection_method = serializers.CharField(required=False, max_length=200)
    events = EventIn(many=True, required=False)


class EventOut(serializers.Serializer[Any]):
    event_time = serializers.DateTimeField()
    event_type = serializers.CharField()
    event_state = serializers.CharField()
    entity_id = serializers.CharField()
    validity_seconds = serializers.IntegerField(allow_null=True)


class ConsentOut(serializers.ModelSerializer[ConsentRecord]):
    subject = serializers.UUIDField(source="subject.uid")
    events = EventOut(many=True)

    class Meta:
        model = ConsentRecord
        fields = ("uid", "record_id", "subject", "purposes", "lawful_basis", "privacy_notice", "language",
                  "jurisdiction", "collection_method", "events")


class WithdrawIn(serializers.Serializer[Any]):
    purposes = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True, default=None)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class WithdrawalOut(serializers.ModelSerializer[Withdrawal]):
    subject = serializers.UUIDField(source="subject.uid")

    class Meta:
        model = Withdrawal
        fields = ("uid", "subject", "purposes", "reason", "requested_at", "effective_at", "completed_at", "receipt")


class WithdrawnOut(serializers.ModelSerializer[Withdrawal]):
    subject = serializers.UUIDField(source="subject.uid")
    repeated = serializers.BooleanField()

    class Meta:
        model = Withdrawal
        fields = (*WithdrawalOut.Meta.fields, "repeated")


class ReasonOut(serializers.Serializer[Any]):
    rule = serializers.CharField()
    value = serializers.CharField()
    fix = serializers.CharField()


class VerdictOut(serializers.Serializer[Any]):
    record = serializers.UUIDField()
    purpose = serializers.CharField()
    region = serializers.CharField()
    commercial = serializers.BooleanField()
    cleared = serializers.BooleanField()
    reasons = ReasonOut(many=True)
    flags = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.DateTimeField(allow_null=True)


def _object(request: AuthenticatedApiRequest) -> dict[str, Any]:
    # A JSON list or text is valid JSON, and without this check the first look-up in it would end as an internal error.
    if not isinstance(request.data, dict):
        raise ValidationFailed(f"the body is {type(request.data).__name__}; send a JSON object")
    return request.data


class Consents(APIView):
    """Record consent."""

    permission = "consent.record"

    @extend_schema(request=ConsentIn, responses={200: ConsentOut, 201: ConsentOut})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Record one consent with its events: 201 when any of it is new, 200 when all of it was stored before."""
        # The service checks the row itself, with messages that name the fix; imports of files use the same check.
        record, made = services.consent_record_add(row=_object(request), by=request.user)
        return Response(ConsentOut(record).data, status=201 if made else 200)


class ConsentEvents(APIView):
    """Record an event of a consent."""

    permission = "consent.record"

    @extend_schema(request=EventIn, responses={200: ConsentOut, 201: ConsentOut})
    def post(self, request: AuthenticatedApiRequest, record_id: str) -> Response:
        """Append an event: 201, or 200 when it was stored before. Events may arrive in any order.

        A refusal is followed like a withdrawal.
        """
        record, made = services.consent_event_add(record_id=record_id, event=_object(request), by=request.user)
        return Response(ConsentOut(record).data, status=201 if made else 200)


class SubjectWithdraw(APIView):
    """Withdraw a person's consent."""

    permission = "subject.withdraw"

    @extend_schema(request=WithdrawIn, responses={200: WithdrawnOut, 201: WithdrawnOut})
    def post(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """Block use at once; a job then walks derived data and fills the receipt.

        201 for a new withdrawal. 200 with `repeated` when an earlier one covers all of it: that one is returned, with
        its time and reason, and nothing changes.
        """
        body = WithdrawIn(data=_object(request))
        body.is_valid(raise_exception=True)
        withdrawal, made = services.withdrawal_ensure(
            subject=access.subject_of(uid), by=request.user, purposes=body.validated_data["purposes"],
            reason=body.validated_data["reason"],
        )
        # Not a field of the model: it is about this request and not about the withdrawal.
        withdrawal.repeated = not made  # type: ignore[attr-defined]
        return Response(WithdrawnOut(withdrawal).data, status=201 if made else 200)


class WithdrawalDetail(APIView):
    """A withdrawal and its receipt."""

    permission = "withdrawal.view"

    @extend_schema(responses=WithdrawalOut)
    def get(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """What the withdrawal has reached so far. It is final once `completed_at` is set."""
        return Response(WithdrawalOut(access.withdrawal_of(uid)).data)


class RecordVerdict(APIView):
    """Ask the gate about one record."""

    permission = "record.view"

    @extend_schema(
        parameters=[
            OpenApiParameter("purpose", str, required=True, enum=PURPOSES), OpenApiParameter("region", str),
            OpenApiParameter("commercial", bool),
        ],
        responses=VerdictOut,
    )
    def get(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """The verdict on the current facts, with every reason and its fix."""
        record = access.record_of(uid)
        purpose, region = access.purpose_and_region(request.query_params, default_purpose="")
        # Anything that is not a clear no counts as commercial use, which is the stricter question.
        commercial = request.query_params.get("commercial", "true").lower() not in ("0", "false", "no")
        found = services.gate_judge([record.pk], purpose=purpose, region=region, commercial=commercial)[record.pk]
        return Response(VerdictOut({
            "record": record.uid, "purpose": purpose, "region": region, "commercial": commercial,
            "cleared": found.cleared, "reasons": found.reasons, "flags": found.flags, "expires_at": found.expires_at,
        }).data)
