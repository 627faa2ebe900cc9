"""Backups of a stack: dumps of its databases, and how to restore them."""
