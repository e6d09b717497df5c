"""The motion of plain frames, and what a styled picture gains by moving with them.

Frames of the source come at full rate and tell where everything went. Along that flow styled
pictures are calmed (:mod:`~obs_stylizer.motion.coherence`) and carried to frames that no
generator has seen (:mod:`~obs_stylizer.motion.reprojection`). NumPy and OpenCV alone, no clock.
"""
