"""Pages."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from flywheel.runs.views import budgets, models, runs

app_name = "runs"


class PriceConverter(StringConverter):
    """What the budget page changes."""

    regex = "budget|device|provider"


register_converter(PriceConverter, "price")

urlpatterns = [
    path("runs/", runs.listing, name="runs"),
    path("runs/new/", runs.create, name="run_new"),
    path("runs/estimate/", runs.estimate, name="run_estimate"),
    path("runs/<uuid:uid>/", runs.detail, name="run"),
    path("runs/<uuid:uid>/live/", runs.live, name="run_live"),
    path("runs/<uuid:uid>/curve.json", runs.curve, name="run_curve"),
    path("runs/<uuid:uid>/approve/", runs.approve, name="run_approve"),
    path("runs/<uuid:uid>/cancel/", runs.cancel, name="run_cancel"),
    path("runs/<uuid:uid>/files/<path:path>", runs.artifact, name="run_file"),
    path("models/", models.listing, name="models"),
    path("models/<str:name>/", models.detail, name="model"),
    path("models/<str:name>/rows/", models.rows, name="model_rows"),
    path("models/<str:name>/promote/", models.promote, name="model_promote"),
    path("models/<str:name>/decide/", models.decide, name="model_decide"),
    path("models/<str:name>/publish/", models.publish, name="model_publish"),
    path("models/<str:name>/model.zip", models.download, name="model_download"),
    path("budgets/", budgets.page, name="budgets"),
    path("budget/", RedirectView.as_view(pattern_name="runs:budgets")),
    path("budgets/<price:what>/", budgets.change, name="price_set"),
    path("recipes/", budgets.recipes, name="recipes"),
    path("recipes/new/", budgets.recipe_new, name="recipe_new"),
]
