"""A build in, a bundle that a chip vendor's engineer can use without asking out.

Start reading at make.py. A target is one file in targets/ (docs/add-a-target.md).
"""
