
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('annotation', '0001_initial'),
        ('datasets', '0001_initial'),
        ('work', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField(unique=True)),
                ('cap', models.DecimalField(decimal_places=2, max_digits=12)),
                ('reserved', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('spent', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('currency', models.CharField(default='EUR', max_length=3)),
                ('second_person_above', models.DecimalField(decimal_places=2, default=50, max_digits=12)),
                ('carried_from', models.DateField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Device',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('price_per_hour', models.DecimalField(decimal_places=4, max_digits=10)),
                ('currency', models.CharField(default='EUR', max_length=3)),
                ('peak_gflops', models.FloatField()),
                ('mfu_low', models.FloatField(default=0.3)),
                ('mfu_high', models.FloatField(default=0.5)),
                ('step_seconds', models.FloatField(default=0.05)),
                ('load_seconds', models.FloatField(default=30)),
                ('priced_on', models.DateField()),
                ('default', models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name='ManagedProvider',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('price_per_million_tokens', models.DecimalField(decimal_places=4, max_digits=10)),
                ('currency', models.CharField(default='EUR', max_length=3)),
                ('priced_on', models.DateField()),
            ],
        ),
        migrations.CreateModel(
            name='Recipe',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('method', models.CharField(default='sft', max_length=30)),
                ('tuning', models.CharField(default='lora', max_length=10)),
                ('base_model', models.CharField(max_length=200)),
                ('base_revision', models.CharField(blank=True, max_length=64)),
                ('base_parameters', models.BigIntegerField(default=0)),
                ('base_layers', models.PositiveIntegerField(default=0)),
                ('base_width', models.PositiveIntegerField(default=0)),
                ('hyperparameters', models.JSONField(default=dict)),
                ('evaluation', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('generation', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('candidate', 'Candidate'), ('champion', 'Champion'), ('retired', 'Retired'), ('retrain_required', 'Retraining required')], default='candidate', max_length=20)),
                ('promoted_at', models.DateTimeField(blank=True, null=True)),
                ('override_reason', models.TextField(blank=True)),
                ('decision', models.CharField(blank=True, choices=[('retrain', 'Train again without these rows'), ('retire', 'Retire for good'), ('anonymity', 'Keep: anonymity is documented')], max_length=12)),
                ('decision_reason', models.TextField(blank=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='models', to='annotation.project')),
                ('promoted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='SuggestionBatch',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, parent_link=True, primary_key=True, serialize=False, to='work.job')),
                ('reserved', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('seconds', models.FloatField(default=0)),
                ('cost', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('after_task_id', models.BigIntegerField(default=0)),
                ('last_task_id', models.BigIntegerField(default=0)),
                ('prompts_path', models.CharField(blank=True, max_length=300)),
                ('results_path', models.CharField(blank=True, max_length=300)),
                ('budget', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.budget')),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.device')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='batches', to='runs.modelversion')),
            ],
            options={
                'abstract': False,
            },
            bases=('work.job',),
        ),
        migrations.CreateModel(
            name='TrainingRun',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, parent_link=True, primary_key=True, serialize=False, to='work.job')),
                ('reserved', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('seconds', models.FloatField(default=0)),
                ('cost', models.DecimalField(decimal_places=4, default=0, max_digits=12)),
                ('name', models.CharField(max_length=200)),
                ('spec', models.JSONField(default=dict)),
                ('estimate', models.JSONField(default=dict)),
                ('max_cost', models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True)),
                ('last_seq', models.PositiveBigIntegerField(default=0)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('result', models.JSONField(default=dict)),
                ('approved_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('budget', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.budget')),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.device')),
                ('recipe', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='runs.recipe')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='datasets.snapshot')),
            ],
            options={
                'abstract': False,
            },
            bases=('work.job',),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='run',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='model', to='runs.trainingrun'),
        ),
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('split', models.CharField(max_length=12)),
                ('rows', models.PositiveIntegerField()),
                ('tokens', models.BigIntegerField()),
                ('base_loss', models.FloatField()),
                ('tuned_loss', models.FloatField()),
                ('samples', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='evaluation', to='runs.trainingrun')),
            ],
        ),
        migrations.CreateModel(
            name='RunEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq', models.PositiveBigIntegerField()),
                ('at', models.DateTimeField()),
                ('kind', models.CharField(max_length=12)),
                ('data', models.JSONField(default=dict)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='runs.trainingrun')),
            ],
            options={
                'indexes': [models.Index(fields=['run', 'kind', 'seq'], name='run_event_by_kind')],
                'constraints': [models.UniqueConstraint(fields=('run', 'seq'), name='run_event_once')],
            },
        ),
        migrations.CreateModel(
            name='RunArtifact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(max_length=300)),
                ('storage_path', models.CharField(max_length=500)),
                ('sha256', models.CharField(max_length=64)),
                ('size', models.BigIntegerField()),
                ('uploaded_at', models.DateTimeField(auto_now_add=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='artifacts', to='runs.trainingrun')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'path'), name='run_artifact_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('project', 'generation'), name='model_generation_once'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'champion')), fields=('project',), name='model_one_champion'),
        ),
    ]
