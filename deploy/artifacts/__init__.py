"""Name, record, write and read the files of a build."""
