"""Pure rules of capture: payloads, normalising, identity, redaction, similarity. No Django, no torch."""
