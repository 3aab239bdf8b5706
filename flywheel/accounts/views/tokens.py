"""One's own API tokens: create (shown once) and revoke."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from flywheel.accounts import scopes, selectors, services
from flywheel.accounts.forms import TokenForm
from flywheel.core.errors import UserError
from flywheel.core.http import AuthenticatedRequest, permitted


@permitted("account.own")
@never_cache
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """The tokens of the person, a form for another, and a new one's secret right after it was made."""
    user = request.user
    form = TokenForm(request.POST or None)
    made = None
    if request.method == "POST" and form.is_valid():
        try:
            made = services.token_create(actor=user, **form.cleaned_data)
            # An empty form after success, because the old values would suggest that nothing was created.
            form = TokenForm()
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    # Each token is listed with what it is for, which its first letters say.
    tokens = [(token, scopes.SCOPES[scopes.token_scope(token.token_key)]) for token in selectors.tokens_of(user)]
    context = {"tokens": tokens, "form": form, "made": made}
    status = 201 if made else 422 if form.errors else 200
    return render(request, "accounts/tokens.html", context, status=status)


@permitted("account.own")
@require_POST
def revoke(request: AuthenticatedRequest, token_key: str) -> HttpResponse:
    """Revoke one token at once."""
    services.token_revoke(actor=request.user, token_key=token_key)
    messages.success(request, f"The token {token_key}… is revoked; whatever used it is refused from now on.")
    return redirect("accounts:tokens")
