"""Verify a build: files, structure, derivation, ranges, and what the models draw."""
