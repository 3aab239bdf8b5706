"""API tokens as knox keeps them, each good for no more than it was made for.

A token's scope is in its first letters, which its hash covers: it can neither be widened nor costs a look-up.
What its owner may do is still asked of their roles.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from flywheel.accounts import scopes


class ScopedTokenAuthentication(TokenAuthentication):  # type: ignore[misc]
    """A token that is asked for more than its scope is refused with 403, before anything is looked at."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        if found is not None:
            # The key is the beginning of the token as it was stored, and the scope is in these letters.
            scope = scopes.token_scope(found[1].token_key)
            if not scopes.token_allows(scope, method=str(request.method), path=request.path):
                raise PermissionDenied(f"this token is for: {scopes.SCOPES[scope].lower()}; make another for this")
        return found

    def authenticate_credentials(self, token: bytes) -> Any:
        # knox decodes the header as UTF-8 and would end in status 500 on bytes that are not; every token is ASCII.
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class ScopedTokenScheme(KnoxTokenScheme):  # type: ignore[misc, no-untyped-call]
    """How the schema describes it: as it does knox's own."""

    target_class = "flywheel.accounts.authentication.ScopedTokenAuthentication"
