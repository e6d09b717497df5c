"""Where frames come from."""

from obs_stylizer.sources.open import make_source, probe_fps

__all__ = ["make_source", "probe_fps"]
