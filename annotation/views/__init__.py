"""Annotation's pages: the workbench, review, projects. Each view fetches through access and calls one service."""
