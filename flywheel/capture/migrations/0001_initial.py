
import django.db.models.deletion
import flywheel.capture.connectors
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('provenance', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Capture',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('external_id', models.CharField(max_length=200)),
                ('version', models.CharField(max_length=80)),
                ('kind', models.CharField(choices=[('ticket', 'Ticket'), ('call', 'Call')], max_length=10)),
                ('payload', models.TextField()),
                ('payload_sha256', models.CharField(max_length=64)),
                ('order_key', models.CharField(max_length=120)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
                ('status', models.CharField(choices=[('received', 'Received'), ('processed', 'Processed'), ('dead', 'Could not be processed')], default='received', max_length=10)),
                ('error', models.TextField(blank=True)),
                ('processed_at', models.DateTimeField(blank=True, null=True)),
                ('received_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Source',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=100, unique=True)),
                ('kind', models.CharField(choices=flywheel.capture.connectors.connector_choices, default='generic', max_length=20)),
                ('options', models.JSONField(blank=True, default=dict)),
                ('license_spdx', models.CharField(blank=True, max_length=100)),
                ('copyright', models.CharField(blank=True, max_length=300)),
                ('purposes', models.JSONField(default=list)),
                ('prohibited_purposes', models.JSONField(default=list)),
                ('region', models.CharField(default='EU', max_length=40)),
                ('consent_policy', models.CharField(choices=[('explicit', 'Every subject needs a consent record'), ('recorded_basis', 'A recorded lawful basis for the whole source')], default='explicit', max_length=20)),
                ('subject_namespace', models.CharField(blank=True, max_length=100)),
                ('product_names', models.JSONField(blank=True, default=list)),
                ('include_notes', models.BooleanField(default=False)),
                ('retention_days', models.PositiveIntegerField(blank=True, null=True)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sources', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Example',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('external_id', models.CharField(max_length=200)),
                ('kind', models.CharField(choices=[('ticket', 'Ticket'), ('call', 'Call')], max_length=10)),
                ('subject_line', models.CharField(blank=True, max_length=500)),
                ('conversation', models.JSONField(default=list)),
                ('redacted', models.JSONField(default=list)),
                ('redacted_subject_line', models.CharField(blank=True, max_length=500)),
                ('pii', models.JSONField(default=list)),
                ('context_length', models.PositiveIntegerField(default=0)),
                ('label', models.CharField(blank=True, max_length=200)),
                ('tags', models.JSONField(default=list)),
                ('language', models.CharField(blank=True, max_length=20)),
                ('text_sha256', models.CharField(max_length=64)),
                ('group_key', models.CharField(max_length=64)),
                ('status', models.CharField(choices=[('active', 'Active'), ('withdrawn', 'Withdrawn'), ('erased', 'Erased')], default='active', max_length=10)),
                ('occurred_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('capture', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='examples', to='capture.capture')),
                ('duplicate_of', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='duplicates', to='capture.example')),
                ('provenance', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='example', to='provenance.provenancerecord')),
                ('source', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='examples', to='capture.source')),
            ],
        ),
        migrations.AddField(
            model_name='capture',
            name='source',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='captures', to='capture.source'),
        ),
        migrations.CreateModel(
            name='SourcePull',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cursor', models.JSONField(default=dict)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('captured', models.BigIntegerField(default=0)),
                ('repeated', models.BigIntegerField(default=0)),
                ('bad', models.BigIntegerField(default=0)),
                ('bad_rows', models.JSONField(default=list)),
                ('error', models.TextField(blank=True)),
                ('source', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='pull', to='capture.source')),
            ],
        ),
        migrations.CreateModel(
            name='MinHashBand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('band', models.PositiveSmallIntegerField()),
                ('digest', models.BigIntegerField()),
                ('example', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='bands', to='capture.example')),
            ],
            options={
                'indexes': [models.Index(fields=['digest'], name='minhash_lookup')],
                'constraints': [models.UniqueConstraint(fields=('example', 'band'), name='minhash_band_once')],
            },
        ),
        migrations.CreateModel(
            name='FileImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(max_length=1000)),
                ('sha256', models.CharField(max_length=64)),
                ('format', models.CharField(max_length=40)),
                ('position', models.BigIntegerField(default=0)),
                ('rows_read', models.BigIntegerField(default=0)),
                ('rows_captured', models.BigIntegerField(default=0)),
                ('rows_repeated', models.BigIntegerField(default=0)),
                ('rows_bad', models.BigIntegerField(default=0)),
                ('bad_rows', models.JSONField(default=list)),
                ('started_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('source', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='capture.source')),
            ],
            options={
                'indexes': [models.Index(fields=['source', '-id'], name='file_import_newest')],
                'constraints': [models.UniqueConstraint(fields=('source', 'sha256'), name='file_import_once'), models.UniqueConstraint(condition=models.Q(('source__isnull', True)), fields=('sha256',), name='file_import_once_without_source')],
            },
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['text_sha256'], name='example_by_text'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['group_key'], name='example_by_group'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(condition=models.Q(('duplicate_of__isnull', True)), fields=['group_key'], name='example_group_head'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['source', 'id'], name='example_by_source'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['label', 'id'], name='example_by_label'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['language', 'id'], name='example_by_language'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['kind', 'id'], name='example_by_kind'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(condition=models.Q(('status', 'active'), _negated=True), fields=['status', 'id'], name='example_inactive'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(condition=models.Q(('duplicate_of__isnull', False)), fields=['id'], name='example_duplicate'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['occurred_at', 'id'], name='example_by_time'),
        ),
        migrations.AddIndex(
            model_name='example',
            index=models.Index(fields=['external_id'], name='example_by_external_id', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddConstraint(
            model_name='example',
            constraint=models.UniqueConstraint(fields=('source', 'external_id'), name='example_once'),
        ),
        migrations.AddIndex(
            model_name='capture',
            index=models.Index(condition=models.Q(('status', 'received')), fields=['id'], name='capture_waiting'),
        ),
        migrations.AddIndex(
            model_name='capture',
            index=models.Index(condition=models.Q(('status', 'dead')), fields=['-id'], name='capture_dead'),
        ),
        migrations.AddIndex(
            model_name='capture',
            index=models.Index(fields=['source', 'id'], name='capture_by_source'),
        ),
        migrations.AddConstraint(
            model_name='capture',
            constraint=models.UniqueConstraint(fields=('source', 'external_id', 'version'), name='capture_once'),
        ),
    ]
