"""Pure rules of annotation: labels, states, routing, quality, suggestions. No Django, no database."""
