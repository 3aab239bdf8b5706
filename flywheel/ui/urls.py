"""Addresses of saved views."""

from django.urls import path

from flywheel.ui import views

app_name = "ui"

urlpatterns = [
    path("views/save/", views.save, name="view_save"),
    path("views/<int:pk>/delete/", views.delete, name="view_delete"),
]
