
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ProvenanceRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('source_system', models.CharField(db_index=True, max_length=100)),
                ('source_record_id', models.CharField(max_length=300)),
                ('content_sha256', models.CharField(max_length=64)),
                ('captured_at', models.DateTimeField()),
                ('captured_by', models.CharField(max_length=200)),
                ('activity_id', models.CharField(blank=True, max_length=200)),
                ('derived_from', models.JSONField(default=list)),
                ('generation_method', models.CharField(default='human-conversation', max_length=60)),
                ('origin_geography', models.CharField(blank=True, max_length=60)),
                ('format', models.CharField(default='application/json', max_length=60)),
                ('classification', models.JSONField(default=list)),
                ('privacy_enhancing', models.JSONField(default=list)),
                ('personal_data', models.CharField(choices=[('unknown', 'Not looked for yet'), ('none', 'None found'), ('redacted', 'Redacted'), ('cleared', 'Cleared for use by a steward'), ('present', 'Present')], default='unknown', max_length=12)),
                ('license_spdx', models.CharField(blank=True, max_length=100)),
                ('copyright', models.CharField(blank=True, max_length=300)),
                ('intended_purposes', models.JSONField(default=list)),
                ('prohibited_purposes', models.JSONField(default=list)),
                ('processing_included', models.JSONField(default=list)),
                ('processing_excluded', models.JSONField(default=list)),
                ('storage_allowed', models.JSONField(default=list)),
                ('storage_forbidden', models.JSONField(default=list)),
                ('retention_until', models.DateTimeField(blank=True, null=True)),
                ('legal_hold', models.BooleanField(default=False)),
                ('quarantined_at', models.DateTimeField(blank=True, null=True)),
                ('quarantine_reason', models.CharField(blank=True, max_length=500)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
                ('judge_due', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name='GateVerdict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.CharField(max_length=40)),
                ('region', models.CharField(max_length=40)),
                ('cleared', models.BooleanField()),
                ('flags', models.JSONField(default=list)),
                ('reasons', models.JSONField(default=list)),
                ('judged_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('record', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='verdicts', to='provenance.provenancerecord')),
            ],
        ),
        migrations.CreateModel(
            name='StewardReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.CharField(choices=[('quarantine', 'Quarantine'), ('release', 'Release'), ('clear_personal_data', 'Clear personal data')], max_length=30)),
                ('reason', models.CharField(max_length=500)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('record_hash', models.CharField(max_length=64)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('record', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steward_reviews', to='provenance.provenancerecord')),
            ],
        ),
        migrations.CreateModel(
            name='Subject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('namespace', models.CharField(max_length=100)),
                ('external_ref', models.CharField(db_index=True, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('namespace', 'external_ref'), name='subject_once')],
            },
        ),
        migrations.AddField(
            model_name='provenancerecord',
            name='subjects',
            field=models.ManyToManyField(related_name='records', to='provenance.subject'),
        ),
        migrations.CreateModel(
            name='LawfulBasis',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('source_system', models.CharField(max_length=100)),
                ('basis', models.CharField(max_length=60)),
                ('purposes', models.JSONField(default=list)),
                ('document', models.CharField(max_length=500)),
                ('reviewed_at', models.DateTimeField()),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('reviewed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('subject', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='bases', to='provenance.subject')),
            ],
        ),
        migrations.CreateModel(
            name='ConsentRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('record_id', models.CharField(max_length=200, unique=True)),
                ('schema_version', models.CharField(default='1', max_length=20)),
                ('purposes', models.JSONField(default=list)),
                ('lawful_basis', models.CharField(default='eu-gdpr:A6-1-a', max_length=60)),
                ('privacy_notice', models.CharField(blank=True, max_length=500)),
                ('language', models.CharField(blank=True, max_length=20)),
                ('controllers', models.JSONField(default=list)),
                ('collection_method', models.CharField(blank=True, max_length=200)),
                ('storage_locations', models.JSONField(default=list)),
                ('retention_period', models.CharField(blank=True, max_length=40)),
                ('geographic_restrictions', models.JSONField(default=list)),
                ('jurisdiction', models.CharField(blank=True, max_length=60)),
                ('recipient_third_parties', models.JSONField(default=list)),
                ('withdrawal_method', models.CharField(blank=True, max_length=300)),
                ('privacy_rights', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('subject', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='provenance.subject')),
            ],
        ),
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('purposes', models.JSONField(default=list)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('requested_at', models.DateTimeField(auto_now_add=True)),
                ('effective_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('receipt', models.JSONField(default=dict)),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('subject', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawals', to='provenance.subject')),
            ],
        ),
        migrations.CreateModel(
            name='ConsentEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_time', models.DateTimeField()),
                ('validity_seconds', models.BigIntegerField(blank=True, null=True)),
                ('entity_id', models.CharField(max_length=200)),
                ('event_type', models.CharField(max_length=60)),
                ('event_state', models.CharField(max_length=60)),
                ('recorded_at', models.DateTimeField(auto_now_add=True)),
                ('record', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='provenance.consentrecord')),
            ],
            options={
                'ordering': ['event_time', 'id'],
                'constraints': [models.UniqueConstraint(fields=('record', 'event_time', 'event_state'), name='consent_event_once')],
            },
        ),
        migrations.CreateModel(
            name='GateReason',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.CharField(max_length=40)),
                ('region', models.CharField(max_length=40)),
                ('rule', models.CharField(max_length=60)),
                ('verdict', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reason_rows', to='provenance.gateverdict')),
            ],
            options={
                'indexes': [models.Index(fields=['purpose', 'region', 'rule', '-id'], name='reason_by_rule')],
            },
        ),
        migrations.AddIndex(
            model_name='gateverdict',
            index=models.Index(fields=['purpose', 'region', 'cleared', '-id'], name='verdict_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='gateverdict',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='verdict_expiry'),
        ),
        migrations.AddConstraint(
            model_name='gateverdict',
            constraint=models.UniqueConstraint(fields=('record', 'purpose', 'region'), name='verdict_one_per_purpose'),
        ),
        migrations.AddIndex(
            model_name='provenancerecord',
            index=models.Index(condition=models.Q(('judge_due', True)), fields=['id'], name='provenance_judge_due'),
        ),
        migrations.AddConstraint(
            model_name='provenancerecord',
            constraint=models.UniqueConstraint(fields=('source_system', 'source_record_id'), name='provenance_once'),
        ),
    ]
