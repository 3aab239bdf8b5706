
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('annotation', '0001_initial'),
        ('capture', '0001_initial'),
        ('provenance', '0001_initial'),
        ('work', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(max_length=200)),
                ('purpose', models.CharField(max_length=40)),
                ('region', models.CharField(max_length=40)),
                ('commercial', models.BooleanField(default=True)),
                ('seed', models.PositiveBigIntegerField(default=0)),
                ('shares', models.JSONField(default=dict)),
                ('system_prompt', models.TextField(blank=True)),
                ('status', models.CharField(choices=[('building', 'Building'), ('frozen', 'Frozen'), ('failed', 'Failed'), ('cancelled', 'Cancelled'), ('tainted', 'Tainted by a withdrawal')], default='building', max_length=10)),
                ('error', models.TextField(blank=True)),
                ('merkle_root', models.CharField(blank=True, max_length=64)),
                ('row_count', models.BigIntegerField(default=0)),
                ('split_counts', models.JSONField(default=dict)),
                ('refused_counts', models.JSONField(default=dict)),
                ('manifest', models.JSONField(default=dict)),
                ('share_alike', models.BooleanField(default=False)),
                ('path', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('frozen_at', models.DateTimeField(blank=True, null=True)),
                ('tainted_at', models.DateTimeField(blank=True, null=True)),
                ('cleared_until', models.DateTimeField(blank=True, null=True)),
                ('job', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='work.job')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshots', to='annotation.project')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='SnapshotRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rule', models.CharField(max_length=60)),
                ('reasons', models.JSONField(default=list)),
                ('example', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refusals', to='capture.example')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refusals', to='datasets.snapshot')),
            ],
        ),
        migrations.CreateModel(
            name='SnapshotRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('leaf_index', models.BigIntegerField()),
                ('leaf_sha256', models.CharField(max_length=64)),
                ('split', models.CharField(max_length=12)),
                ('group_key', models.CharField(max_length=64)),
                ('tainted_at', models.DateTimeField(blank=True, null=True)),
                ('annotation', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='snapshot_rows', to='annotation.annotation')),
                ('example', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshot_rows', to='capture.example')),
                ('record', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshot_rows', to='provenance.provenancerecord')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rows', to='datasets.snapshot')),
            ],
        ),
        migrations.AddIndex(
            model_name='snapshot',
            index=models.Index(fields=['-id'], name='snapshot_newest'),
        ),
        migrations.AddIndex(
            model_name='snapshotrefusal',
            index=models.Index(fields=['snapshot', 'rule', 'id'], name='refusal_by_rule'),
        ),
        migrations.AddConstraint(
            model_name='snapshotrow',
            constraint=models.UniqueConstraint(fields=('snapshot', 'leaf_index'), name='snapshot_leaf_once'),
        ),
        migrations.AddConstraint(
            model_name='snapshotrow',
            constraint=models.UniqueConstraint(fields=('snapshot', 'example'), name='snapshot_example_once'),
        ),
    ]
