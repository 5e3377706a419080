"""Pack a build into a bundle that a chip vendor's engineer can use without asking.

Start reading at make.py. A vendor is one file in vendors/ (docs/add-a-vendor.md).
"""
