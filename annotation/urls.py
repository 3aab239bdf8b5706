"""Pages."""

from django.urls import path

from annotation.views import flags, projects, review, workbench

app_name = "annotation"

urlpatterns = [
    path("annotate/", workbench.choose, name="choose"),
    path("annotate/<slug:slug>/", workbench.workbench, name="workbench"),
    path("annotate/<slug:slug>/task/", workbench.task_fragment, name="task_fragment"),
    path("annotate/<slug:slug>/ahead/", workbench.ahead_fragment, name="ahead_fragment"),
    path("annotate/<slug:slug>/open/<int:pk>/", workbench.open_fragment, name="open_fragment"),
    path("annotate/<slug:slug>/undo/", workbench.undo, name="undo"),
    path("annotate/<slug:slug>/skip/<int:pk>/", workbench.skip, name="skip"),
    path("annotate/<slug:slug>/unskip/", workbench.unskip, name="unskip"),
    path("annotate/<slug:slug>/mine/", workbench.mine, name="mine"),
    path("review/", review.choose, name="review_choose"),
    path("review/<slug:slug>/", review.review, name="review"),
    path("review/<slug:slug>/queue/", review.queue, name="queue"),
    path("review/<slug:slug>/<int:pk>/", review.review_task, name="review_task"),
    path("review/<slug:slug>/answers/<int:pk>/span/", review.span, name="span"),
    path("projects/", projects.index, name="projects"),
    path("projects/new/", projects.create, name="project_new"),
    path("projects/preview/config/", projects.preview_config, name="preview_config"),
    path("projects/preview/guidelines/", projects.preview_guidelines, name="preview_guidelines"),
    path("projects/<slug:slug>/", projects.dashboard, name="dashboard"),
    path("projects/<slug:slug>/settings/", projects.settings, name="settings"),
    path("projects/<slug:slug>/pause/", projects.pause, name="pause"),
    path("projects/<slug:slug>/members/add/", projects.member_add, name="member_add"),
    path("projects/<slug:slug>/members/remove/", projects.member_remove, name="member_remove"),
    path("projects/<slug:slug>/tasks/", projects.tasks, name="tasks"),
    path("projects/<slug:slug>/flags/", flags.index, name="flags"),
    path("projects/<slug:slug>/flags/<int:pk>/resolve/", flags.resolve, name="flag_resolve"),
    path("projects/<slug:slug>/tasks/<int:pk>/flag/", flags.flag, name="flag"),
    path("projects/<slug:slug>/tasks/<int:pk>/reopen/", flags.reopen, name="reopen"),
    path("projects/<slug:slug>/tasks/<int:pk>/", projects.task_detail, name="task"),
]
