"""Connectors: how the outside world's formats become deliveries. One folder each, copyable."""
