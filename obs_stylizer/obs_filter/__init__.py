"""The filter in OBS: where its mapped files are, what is in them, and how pictures pass."""
