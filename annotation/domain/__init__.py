"""Pure rules of annotation: no Django, no torch."""
