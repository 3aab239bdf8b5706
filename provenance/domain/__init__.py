"""Pure rules of provenance, without Django and torch."""
