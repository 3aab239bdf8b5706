"""People and machine accounts. Roles are groups; membership in projects belongs to annotation."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person or a machine account. Roles are groups; membership per project lives with annotation."""

    display_name = models.CharField(max_length=120, blank=True)

    def __str__(self) -> str:
        return self.display_name or self.username
