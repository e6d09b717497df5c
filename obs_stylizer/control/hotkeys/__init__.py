"""Global hotkeys: combinations of keys that send commands, whichever window is in front."""
