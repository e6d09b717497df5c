"""OBS as a control surface: its scenes choose presets, and it shows what is on air."""
