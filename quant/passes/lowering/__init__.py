"""Write operators that a chip's compiler lacks as others that compute the same."""
