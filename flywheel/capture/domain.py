"""Pure rules: no Django, no torch."""
