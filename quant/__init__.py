"""A float graph and a calibration table in, fp16 and QDQ graphs out."""
