
import django.db.models.deletion
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
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(max_length=60)),
                ('payload', models.JSONField(default=dict)),
                ('dedupe_key', models.CharField(blank=True, max_length=200)),
                ('visible', models.BooleanField(default=False)),
                ('title', models.CharField(blank=True, max_length=220)),
                ('object_ref', models.CharField(blank=True, max_length=120)),
                ('status', models.CharField(choices=[('requested', 'Waits for approval'), ('queued', 'Queued'), ('running', 'Running'), ('cancelling', 'Cancelling'), ('done', 'Done'), ('stopped', 'Stopped at a limit'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='queued', max_length=12)),
                ('claim_sha256', models.CharField(blank=True, max_length=64)),
                ('claimed_by', models.CharField(blank=True, max_length=200)),
                ('claim_expires_at', models.DateTimeField(blank=True, null=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('available_at', models.DateTimeField(blank=True, null=True)),
                ('dispatches', models.PositiveIntegerField(default=0)),
                ('done', models.BigIntegerField(default=0)),
                ('total', models.BigIntegerField(blank=True, null=True)),
                ('unit', models.CharField(default='rows', max_length=30)),
                ('cancel_requested_at', models.DateTimeField(blank=True, null=True)),
                ('error', models.TextField(blank=True)),
                ('summary', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('queued_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'queued')), fields=['available_at', 'id'], name='job_due'), models.Index(condition=models.Q(('status__in', ['running', 'cancelling'])), fields=['claim_expires_at'], name='job_claimed'), models.Index(condition=models.Q(('visible', True)), fields=['-id'], name='job_newest_visible'), models.Index(condition=models.Q(('object_ref', ''), _negated=True), fields=['object_ref', '-id'], name='job_by_object')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('attempts', 0), ('status', 'queued'), ('visible', False), models.Q(('dedupe_key', ''), _negated=True)), fields=('kind', 'dedupe_key'), name='job_one_waiting_per_key'), models.UniqueConstraint(condition=models.Q(('finished_at__isnull', True), ('visible', True), models.Q(('dedupe_key', ''), _negated=True)), fields=('kind', 'dedupe_key'), name='job_one_active_per_key')],
            },
        ),
    ]
