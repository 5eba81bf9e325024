"""Mutants of a migration: what could go wrong with it, made on purpose, and who notices."""
