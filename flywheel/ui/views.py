"""Saving and deleting views of lists."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from flywheel.core.errors import ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.ui.saved_views import view_delete, view_save


@require_POST
@permitted("view.save")
def save(request: AuthenticatedRequest) -> HttpResponse:
    """Save the view of the list that the form was on."""
    path, query = request.POST.get("path", ""), request.POST.get("query", "")
    try:
        view = view_save(user=request.user, path=path, query=query, name=request.POST.get("name", ""))
    except ValidationFailed as error:
        messages.error(request, f"The view was not saved: {error.message}.")
        # The path may be the very thing that is wrong.
        return redirect("/" if error.field != "name" else f"{path}?{query}" if query else path)
    messages.success(request, f"Saved as '{view.name}'; it is under Views on this list.")
    return redirect(view.address)


@require_POST
@permitted("view.save")
def delete(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Delete one of the person's views."""
    view = view_delete(user=request.user, pk=pk)
    messages.success(request, f"The view '{view.name}' was deleted; the list is as it was.")
    return redirect(view.path)
