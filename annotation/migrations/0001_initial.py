
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('capture', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('slug', models.SlugField(max_length=100, unique=True)),
                ('guidelines', models.TextField(blank=True)),
                ('label_config', models.TextField()),
                ('label_schema', models.JSONField(blank=True, default=dict)),
                ('overlap', models.PositiveSmallIntegerField(default=1)),
                ('lease_seconds', models.PositiveIntegerField(default=900)),
                ('last_example_id', models.BigIntegerField(default=0)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('sources', models.ManyToManyField(blank=True, related_name='projects', to='capture.source')),
            ],
        ),
        migrations.CreateModel(
            name='Suggestion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(choices=[('agent', "The agent's reply"), ('model', "A model's reply")], max_length=10)),
                ('origin_name', models.CharField(max_length=200)),
                ('text', models.TextField(blank=True)),
                ('score', models.FloatField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('example', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='suggestions', to='capture.example')),
            ],
        ),
        migrations.CreateModel(
            name='Annotation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('submission_id', models.UUIDField(default=uuid.uuid4, unique=True)),
                ('result', models.JSONField(default=list)),
                ('state', models.CharField(choices=[('submitted', 'Submitted'), ('accepted', 'Accepted'), ('fixed', 'Replaced by a fix'), ('rejected', 'Rejected'), ('not_chosen', 'Another answer was chosen'), ('undone', 'Undone')], default='submitted', max_length=12)),
                ('suggestion_origin', models.CharField(blank=True, max_length=200)),
                ('suggestion_use', models.CharField(choices=[('none', 'No suggestion was shown'), ('accepted', 'Accepted as it was'), ('edited', 'Edited'), ('replaced', 'Written anew')], default='none', max_length=10)),
                ('edit_distance', models.FloatField(blank=True, null=True)),
                ('lead_time_seconds', models.FloatField(blank=True, null=True)),
                ('pii', models.JSONField(blank=True, default=list)),
                ('searched_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='annotations', to=settings.AUTH_USER_MODEL)),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='fixes', to='annotation.annotation')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='annotations', to='annotation.project')),
                ('suggestion', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='annotations', to='annotation.suggestion')),
            ],
        ),
        migrations.CreateModel(
            name='Task',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('open', 'To annotate'), ('in_review', 'In review'), ('settled', 'Settled'), ('flagged', 'Flagged'), ('closed', 'Closed'), ('withdrawn', 'Withdrawn')], default='open', max_length=10)),
                ('overlap', models.PositiveSmallIntegerField(default=1)),
                ('slots_taken', models.PositiveSmallIntegerField(default=0)),
                ('submitted_count', models.PositiveSmallIntegerField(default=0)),
                ('available', models.BooleanField(default=True)),
                ('returned_at', models.DateTimeField(blank=True, null=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('in_review_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('example', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='capture.example')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tasks', to='annotation.project')),
                ('settled_annotation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='settles', to='annotation.annotation')),
            ],
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.CharField(choices=[('accept', 'Accept'), ('fix', 'Fix and accept'), ('reject', 'Reject')], max_length=10)),
                ('comment', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('annotation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.annotation')),
                ('fixed_annotation', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='made_by_review', to='annotation.annotation')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to=settings.AUTH_USER_MODEL)),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='annotation.task')),
            ],
        ),
        migrations.CreateModel(
            name='Flag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('personal_data', 'Personal data is left in the text'), ('guidelines', 'The guidelines are wrong or do not cover it'), ('unsafe', 'Unsafe or abusive content'), ('broken', 'The conversation is broken or incomplete'), ('other', 'Something else')], max_length=20)),
                ('comment', models.TextField(blank=True)),
                ('state', models.CharField(choices=[('open', 'Open'), ('returned', 'Returned to work'), ('closed', 'Task closed'), ('undone', 'Taken back'), ('withdrawn', 'Task withdrawn')], default='open', max_length=10)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('note', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('raised_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='flags', to=settings.AUTH_USER_MODEL)),
                ('resolved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flags', to='annotation.project')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flags', to='annotation.task')),
            ],
        ),
        migrations.CreateModel(
            name='Assignment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('active', 'Active'), ('submitted', 'Submitted'), ('skipped', 'Skipped'), ('expired', 'Expired'), ('returned', 'Returned by review'), ('flagged', 'Flagged')], default='active', max_length=10)),
                ('leased_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('skip_reason', models.CharField(blank=True, max_length=500)),
                ('draft', models.JSONField(default=list)),
                ('draft_version', models.PositiveIntegerField(default=0)),
                ('draft_saved_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='assignments', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='annotation.project')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='annotation.task')),
            ],
        ),
        migrations.AddField(
            model_name='annotation',
            name='task',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='annotations', to='annotation.task'),
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('annotator', 'Annotator'), ('reviewer', 'Reviewer'), ('lead', 'Lead')], max_length=12)),
                ('cursor', models.BigIntegerField(default=0)),
                ('returned_cursor', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='annotation.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'user', 'role'), name='membership_once')],
            },
        ),
        migrations.AddIndex(
            model_name='suggestion',
            index=models.Index(fields=['origin_name', '-id'], name='suggestion_by_origin'),
        ),
        migrations.AddConstraint(
            model_name='suggestion',
            constraint=models.UniqueConstraint(fields=('example', 'origin', 'origin_name'), name='suggestion_once_per_origin'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('available', True)), fields=['project', 'id'], name='task_available'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('available', True), ('returned_at__isnull', False)), fields=['project', 'returned_at', 'id'], name='task_returned'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(fields=['project', 'state', 'id'], name='task_by_state'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(fields=['project', 'id'], name='task_by_project'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(fields=['project', 'settled_at', 'id'], name='task_by_settlement'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('state', 'settled')), fields=['settled_at', 'id'], name='task_settled'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.UniqueConstraint(fields=('project', 'example'), name='task_once_per_example'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.CheckConstraint(condition=models.Q(('slots_taken__lte', models.F('overlap'))), name='task_no_more_people_than_overlap'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.CheckConstraint(condition=models.Q(('submitted_count__lte', models.F('slots_taken'))), name='task_submits_hold_slots'),
        ),
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(fields=['project', 'state', 'id'], name='flag_by_state'),
        ),
        migrations.AddIndex(
            model_name='flag',
            index=models.Index(fields=['raised_by', 'project', '-id'], name='flag_by_person'),
        ),
        migrations.AddConstraint(
            model_name='flag',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('task', 'raised_by'), name='flag_once_per_person'),
        ),
        migrations.AddIndex(
            model_name='assignment',
            index=models.Index(fields=['user', 'project', 'status'], name='assignment_by_person'),
        ),
        migrations.AddIndex(
            model_name='assignment',
            index=models.Index(fields=['status', 'expires_at'], name='assignment_expiry'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.UniqueConstraint(fields=('task', 'user'), name='assignment_once_per_person'),
        ),
        migrations.AddIndex(
            model_name='annotation',
            index=models.Index(condition=models.Q(('searched_at__isnull', True)), fields=['id'], name='annotation_unsearched'),
        ),
        migrations.AddIndex(
            model_name='annotation',
            index=models.Index(fields=['author', 'project', '-id'], name='annotation_by_author'),
        ),
        migrations.AddIndex(
            model_name='annotation',
            index=models.Index(fields=['task', 'id'], name='annotation_by_task'),
        ),
        migrations.AddIndex(
            model_name='annotation',
            index=models.Index(fields=['suggestion_origin', 'id'], name='annotation_by_origin'),
        ),
    ]
