"""obs-stylizer: a living picture in a chosen style, live, as a virtual camera."""

__version__ = "0.1.0"
