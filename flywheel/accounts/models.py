"""Names of API tokens, and passwords that were given out and must be changed.

The tokens themselves are knox's, the people core's.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from knox.models import AuthToken


class TokenName(models.Model):
    """What its owner calls an API token, so that one can be told from another when it is to be revoked."""

    # A separate row, because the table of tokens belongs to knox.
    token = models.OneToOneField(AuthToken, on_delete=models.CASCADE, related_name="named")
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class OneTimePassword(models.Model):
    """A person who has a password that an admin has seen. The row goes when the person chooses one."""

    # A row and not a column of User, because core must not know how passwords are given out.
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="one_time_password")
    given_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"one-time password of {self.user_id}"
