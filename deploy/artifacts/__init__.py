"""The files of a build: their names, records, digests and how to read them back."""
