"""Rewrite the ends of a graph, for pictures in another form, exactly and reversibly."""
