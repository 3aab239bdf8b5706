
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='LedgerHead',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField(default=0)),
                ('entry_sha256', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('seq', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('actor', models.CharField(max_length=200)),
                ('action', models.CharField(max_length=80)),
                ('object', models.CharField(max_length=200)),
                ('payload', models.JSONField(default=dict)),
                ('payload_sha256', models.CharField(max_length=64)),
                ('subjects_sha256', models.CharField(max_length=64)),
                ('previous', models.CharField(max_length=64)),
                ('entry_sha256', models.CharField(max_length=64)),
            ],
            options={
                'indexes': [models.Index(fields=['object', '-seq'], name='ledger_by_object'), models.Index(fields=['action', '-seq'], name='ledger_by_action'), models.Index(fields=['actor', '-seq'], name='ledger_by_actor')],
            },
        ),
        migrations.CreateModel(
            name='LedgerSubject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('ident', models.CharField(max_length=60)),
                ('entry', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='subjects', to='audit.ledgerentry')),
            ],
            options={
                'indexes': [models.Index(fields=['kind', 'ident', '-entry'], name='ledger_by_subject')],
                'constraints': [models.UniqueConstraint(fields=('entry', 'kind', 'ident'), name='ledger_subject_once')],
            },
        ),
    ]
