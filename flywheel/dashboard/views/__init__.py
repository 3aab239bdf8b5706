"""Pages, one module per kind. Each fetches, calls one service or selector, and renders."""
