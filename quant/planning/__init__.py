"""Decide where QDQ pairs stand and which scale and zero point each has."""
