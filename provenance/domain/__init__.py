"""Pure rules of provenance: no Django, no torch."""
