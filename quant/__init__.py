"""Quantize a float graph by its calibration table: QDQ and fp16 graphs."""
