"""What a person has arranged on the pages: saved views of lists."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SavedView(models.Model):
    """A name that a person gave to one view of a list: the list's path and the query that its address carried."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    # The path and not the name of a table, because one table may be a list in each project.
    path = models.CharField(max_length=300)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "path", "name"], name="saved_view_once_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """Where the view is."""
        return f"{self.path}?{self.query}" if self.query else self.path
