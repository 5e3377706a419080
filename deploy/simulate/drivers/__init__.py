"""Hold the scripts that run in a toolchain's own virtual environment, without esrdeploy.

They need what their toolchain's file pins and see nothing but the unpacked bundle. They are part of
the package so that they are linted and typed with it.
"""
