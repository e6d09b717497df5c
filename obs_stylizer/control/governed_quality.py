"""At which quality level each preset is asked for, as the governor has it."""

from __future__ import annotations

import logging

from obs_stylizer.control.on_air import OnAir
from obs_stylizer.errors import ModelError
from obs_stylizer.inference.locate import find_model, lite_of
from obs_stylizer.presets import NamedPreset, models_of
from obs_stylizer.realtime import events
from obs_stylizer.realtime.governor import FULL, QUALITY_LEVELS, Governor, QualityLevel

log = logging.getLogger(__name__)


class GovernedQuality:
    """Asks the governor for presets, by their generators.

    Args:
        governor: gives generators less work on a slow machine; None never does.
    """

    def __init__(self, governor: Governor | None) -> None:
        self._governor = governor
        self._changed_from: tuple[str, QualityLevel] | None = None

    def of(self, named: NamedPreset) -> QualityLevel:
        """Return the level at which a preset is to be loaded."""
        return self._governor.quality_for(_governed(named)) if self._governor else FULL

    def observe(self, named: NamedPreset, load: events.LoadMeasured, now: float) -> bool:
        """Return whether what is on air is to be shown anew, at another level."""
        if self._governor is None:
            return False
        before = self.of(named)
        quality = self._governor.observe(
            now, _governed(named), load.busy, load.wanted_fps, _has_lite(named)
        )
        if quality is None:
            return False
        self._changed_from = (named.name, before)
        log.info(
            "%s takes %.0f ms a frame, wanted are %.0f fps: it goes over to %s of its size",
            named.name,
            1000 * load.busy,
            load.wanted_fps,
            quality,
        )
        return True

    def check(self, named: NamedPreset, shown: events.PresetShown, before: OnAir) -> None:
        """Stop asking for smaller frames where the generator takes none.

        Args:
            named: the preset.
            shown: what the worker made of it.
            before: what was on air until then.
        """
        asked, self._changed_from = self._changed_from, None
        if self._governor is None or asked is None or asked[0] != shown.name:
            return
        size, quality = str(shown.process_size), self.of(named)
        same_work = (before.generator, before.process_size) == (shown.generator, size)
        # Between two levels a size may be rounded to the same; below the last there is none.
        is_last = quality.scale == QUALITY_LEVELS[-1].scale
        if same_work and is_last and asked[1].lite == quality.lite:
            self._governor.keep(_governed(named), asked[1])
            log.warning(
                "%s works at %s and no smaller, which is more than this machine can do live",
                shown.generator,
                size,
            )


def _governed(named: NamedPreset) -> str:
    """Return what the governor knows a preset's generator by."""
    sides = " and sides" if named.preset.has_sides else ""
    return f"{' and '.join(models_of(named.preset))} {named.preset.process_size}{sides}"


def _has_lite(named: NamedPreset) -> bool:
    try:
        found = [find_model(model, named.path.parent) for model in models_of(named.preset)]
    except ModelError:
        return False
    return any(lite_of(model) is not None for model in found)
