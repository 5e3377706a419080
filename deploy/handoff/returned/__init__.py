"""Judge the outputs that a vendor sent back."""
