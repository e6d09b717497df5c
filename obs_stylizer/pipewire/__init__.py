"""PipeWire, which carries pictures between the programs of a Linux desktop.

Spoken to through the system's own library with ctypes: nothing is compiled, and nothing is loaded
before it is needed.
"""
