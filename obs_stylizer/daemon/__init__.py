"""The daemon: clock, sinks and controls in one process, capture and generator in another."""
