"""Operate the stack: as plain processes, or in Docker."""
