"""Name what went wrong: with a picture, a weight, a QDQ file or a plan."""
