"""OBS as a door to the commands: its scenes choose presets, and it shows what is on air."""
