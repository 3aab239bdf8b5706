"""allauth's hooks: people cannot sign up by themselves, no mail is sent, one-time passwords are changed at sign-in."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse

from flywheel.accounts import selectors, services


class ClosedAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by an admin, who also resets passwords."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        # One sentence for a wrong name and a wrong password, because two would reveal which accounts exist.
        "username_password_mismatch": "User name or password is not correct.",
        "too_many_login_attempts": "Too many failed tries. Wait five minutes, then try again; nothing is lost.",
        # The way back is named, because an admin can activate the account and its owner cannot.
        "account_inactive": "This account is deactivated. Ask an admin to activate it again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Flywheel sends no mail: there may be no mail server, and an admin resets passwords."""

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        # Another person has seen this password, so it should not protect an account for longer than one sign-in.
        if selectors.password_is_one_time(request.user):
            return reverse("account_change_password")
        return str(super().get_login_redirect_url(request))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:account")

    def set_password(self, user: Any, password: str) -> None:
        # Not the inherited method, because the change must be in the ledger and end the one-time password together.
        services.password_choose(user=user, password=password)
