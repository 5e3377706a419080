"""Images in, calibration tables out: the streaming observation of a float graph."""
