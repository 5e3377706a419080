"""Score built models on photographs by the vendor table's protocol."""
