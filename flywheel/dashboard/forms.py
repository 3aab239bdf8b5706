"""Forms of the pages. They check shape only; services validate."""

from __future__ import annotations

from django import forms

from provenance.domain.vocabulary import PURPOSE_NAMES, PURPOSES


class WithdrawForm(forms.Form):
    """Purposes, reason and the typed confirmation."""

    purposes = forms.MultipleChoiceField(
        choices=[(p, PURPOSE_NAMES[p]) for p in PURPOSES], widget=forms.CheckboxSelectMultiple, initial=list(PURPOSES),
        error_messages={"required": "Choose at least one purpose."},
    )
    # The reason may name the person. It must be erasable, which no entry of the append-only ledger is.
    reason = forms.CharField(
        max_length=500, required=False,
        help_text="How the person asked for it. Kept with the receipt, not in the ledger.",
    )
    # Not required here: the view answers an empty text as it answers a wrong one, with the name to type.
    confirm = forms.CharField(required=False)
