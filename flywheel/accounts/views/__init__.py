"""Pages of home, one module per kind. They fetch, call one service or selector, and render."""
