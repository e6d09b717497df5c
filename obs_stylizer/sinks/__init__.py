"""Where frames go."""

from obs_stylizer.sinks.open import make_sink

__all__ = ["make_sink"]
