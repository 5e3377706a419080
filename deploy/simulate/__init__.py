"""Run a bundle in the real toolchain of a chip, on this machine, and judge what comes out."""
