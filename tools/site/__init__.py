"""Make what the documentation site shows beside its pages."""
