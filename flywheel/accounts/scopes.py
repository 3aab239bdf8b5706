"""What an API token may be used for. The scope is the token's prefix."""

from __future__ import annotations

SCOPES = {"all": "Everything my roles may do", "read": "Reading only", "capture": "Delivering captures only"}
"""What an API token may be made for."""

CAPTURES = "/api/v1/captures/"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def token_prefix(scope: str) -> str:
    """How tokens of a scope begin. Tokens without one are hexadecimal, so that none of them begins like this."""
    # Tokens without a prefix existed before scopes did, and must stay valid for everything.
    return "" if scope == "all" else f"{scope}_"


def token_scope(token: str) -> str:
    """What a token is for, by its beginning."""
    # "all" has no prefix, so every token would begin with it; it is what remains.
    return next((scope for scope in SCOPES if scope != "all" and token.startswith(token_prefix(scope))), "all")


def token_allows(scope: str, *, method: str, path: str) -> bool:
    """Whether a token of this scope may be used for a request, whatever its owner's roles allow."""
    if scope == "capture":
        # An importer only delivers. A token that leaks from its machine must not read what others have captured.
        return method == "POST" and path.startswith(CAPTURES)
    return scope == "all" or method in READING
