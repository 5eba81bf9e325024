"""Sealed archives of run folders, and what was altered in one."""
