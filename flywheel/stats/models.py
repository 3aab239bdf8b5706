"""Counted numbers, kept as one row per scope, name and day."""

from __future__ import annotations

from django.db import models


class Gauge(models.Model):
    """A number counted by a job, so that no page has to count rows. One row per (scope, name, day)."""

    # Text and not a foreign key: a scope may be a project, a person in it, or a purpose with a region.
    scope = models.CharField(max_length=80, default="all")
    name = models.CharField(max_length=80)
    day = models.DateField()
    value = models.FloatField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "name", "day"], name="gauge_one_per_day")]

    def __str__(self) -> str:
        return f"{self.scope} {self.name} {self.value:g}"


class CounterRun(models.Model):
    """When a counter last began to count. The row keeps two workers from counting the same at once."""

    name = models.CharField(max_length=80, unique=True)
    # The start and not the end, so that a counter whose worker was killed becomes due again by itself.
    started_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name
