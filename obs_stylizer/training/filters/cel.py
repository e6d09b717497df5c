"""The animation still: flat areas with clean borders, and lines that follow shapes."""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.training.filters.flow_field import edge_flow, flow_lines
from obs_stylizer.training.filters.planes import (
    Plane,
    brightness_of,
    flatten,
    in_levels,
    to_bytes,
    unit,
)


def cel(picture: Pixels) -> Pixels:
    """Return a drawing on celluloid.

    Worked out at twice the size, so that lines and borders are smooth: two bilateral filters, L0
    gradient minimisation, lightness drawn towards five levels, stronger colours, and lines by a
    flow-based difference of Gaussians.
    """
    height, width = picture.shape[:2]
    large = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    smooth = flatten(np.asarray(large, np.uint8), times=2, colours=24, reach=5)
    flat = minimise_gradients(unit(smooth), 0.012)
    lab = cv2.cvtColor(np.clip(flat, 0, 1), cv2.COLOR_RGB2LAB)
    lifted = np.clip((lab[..., 0] - 50) * 1.08 + 53, 0, 100)
    lab[..., 0] = in_levels(np.asarray(lifted, np.float32), levels=5, steepness=2.5)
    lab[..., 1:] *= 1.45
    colours = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    brightness = brightness_of(smooth)
    flow, _ = edge_flow(brightness, 4.0)
    lines = flow_lines(brightness, flow, sigma=1.5, keep=0.98, steepness=60, along=5.0)
    drawn = colours * (0.08 + 0.92 * lines[..., None])
    return to_bytes(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))


def minimise_gradients(picture: Plane, strength: float) -> Plane:
    """Return the picture with few, whole steps between flat areas.

    L0 gradient minimisation (Xu et al. 2011, "Image Smoothing via L0 Gradient Minimization"):
    alternates between dropping gradients whose square is below ``strength / beta`` and solving
    for the picture with the remaining ones in the Fourier domain, with beta doubled each time.

    Args:
        picture: (H, W, 3), 0 to 1.
        strength: lambda; larger leaves fewer steps.
    """
    margin = 16
    padded = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    rows, columns = (cv2.getOptimalDFTSize(side) for side in padded.shape[:2])
    extra = (rows - padded.shape[0], columns - padded.shape[1])
    padded = cv2.copyMakeBorder(padded, 0, extra[0], 0, extra[1], cv2.BORDER_REFLECT_101)
    across_waves = 2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(columns))
    down_waves = 2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(rows))
    waves = (down_waves[:, None] + across_waves[None]).astype(np.float32)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(padded, 2, 0)]
    spectra = [cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT) for plane in planes]
    beta = 2 * strength
    while beta < 1e5:
        steps = [(np.roll(plane, -1, 1) - plane, np.roll(plane, -1, 0) - plane) for plane in planes]
        size = np.sum([across**2 + down**2 for across, down in steps], axis=0)
        kept = (size >= strength / beta).astype(np.float32)
        for number, (across, down) in enumerate(steps):
            across, down = across * kept, down * kept
            divergence = np.roll(across, 1, 1) - across + np.roll(down, 1, 0) - down
            total = spectra[number] + beta * cv2.dft(divergence, flags=cv2.DFT_COMPLEX_OUTPUT)
            total /= (1 + beta * waves)[..., None]
            planes[number] = cv2.idft(total, flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE)
        beta *= 2
    made = np.stack(planes, axis=2)
    height, width = picture.shape[:2]
    return np.ascontiguousarray(made[margin : margin + height, margin : margin + width])
