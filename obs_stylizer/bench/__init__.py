"""``obs-stylizer bench``: what this machine does, measured on the live path itself."""
