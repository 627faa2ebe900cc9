"""Backups of a stack: dump its databases into a folder, and restore them from it."""
