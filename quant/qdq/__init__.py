"""Write and read QDQ graphs, and hold them against a target's rules."""
