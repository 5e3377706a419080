"""Hold the scripts that are copied into bundles and run there without esrdeploy.

They need numpy and cv2, and what their own docstring names. They are part of the package so that
they are linted, typed and tested with it.
"""
