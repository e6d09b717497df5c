"""A source of OBS, through our filter on it; what is made of its frames is shown there."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np

from obs_stylizer.errors import (
    BusyError,
    SourceError,
    SourceLostError,
    SourceWaitingError,
)
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.locks import ResourceLock
from obs_stylizer.obs_filter.alpha import straight
from obs_stylizer.obs_filter.answer import Question, composed, margins_for
from obs_stylizer.obs_filter.heartbeat import Heartbeat
from obs_stylizer.obs_filter.listing import FilterInfo, list_filters
from obs_stylizer.obs_filter.mapping import FilterMapping, FilterPicture, fitted
from obs_stylizer.segmentation.chroma import without_chroma
from obs_stylizer.sources.base import AnsweredSource, SourceInfo, SourceOptions

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.25
_POLL_SECONDS: Final = 0.0005
_IDLE_POLL_SECONDS: Final = 0.005
_IDLE_AFTER: Final = 0.25
_UNSEEN_SECONDS: Final = 1.0
_REMEMBERED: Final = 8
_FRESH_FRAMES: Final = 3
_SMOOTHED: Final = 0.2
_LONGEST_ANSWER: Final = 3.0
_WORKING_SECONDS: Final = 1.0
"""For how long whoever answers may do so without a word."""


class ObsFilterSource(AnsweredSource):
    """Reads the frames of one filter in OBS, and gives the styled ones back to it.

    Frames keep the shape of the OBS source: they are widened to that of the wished size, and what
    was added is cut off the answers.

    Args:
        name: of the OBS source or of the filter on it; "" for the one that OBS drew last.
        options: the wished size is the most that is asked for.
        only: file of the one filter that is meant, which is served beside the source of the
            process; a source that wants it takes it over.
    """

    _open_here: ClassVar[dict[Path, ObsFilterSource]] = {}

    def __init__(self, name: str, options: SourceOptions, only: Path | None = None) -> None:
        self._name = name
        self._only = only
        self._canvas = options.frame_size
        self._clock = options.clock
        self._lock = threading.Lock()
        self._mapping: FilterMapping | None = None
        self._heartbeat: Heartbeat | None = None
        self._own: ResourceLock | None = None
        self._questions: OrderedDict[float, Question] = OrderedDict()
        self._wanted: FrameSize | None = None
        self._sequence = 0
        self._last: int | None = None
        self._captured_at = float("-inf")
        self._came_at = 0.0
        self._looked_at = 0.0
        self._described = ("", "")
        self._frozen = False
        self._kept: Pixels | None = None
        self._offered: list[str] = []
        self._answered_at: float | None = None
        self._answer_seconds = 0.0

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        info = self._find()
        beside = self._open_here.get(info.path)
        if beside is not None and beside._only is not None and self._only is None:
            beside.close()
        own = _lock_on(info)
        try:
            mapping = FilterMapping(info.path)
            size = mapping.source_size
            if size is None:
                raise SourceWaitingError(
                    f"the filter {info} has nothing to show yet",
                    "show its source in a scene of OBS that is on air",
                )
            wanted = fitted(size, self._canvas, mapping.slot_bytes)
            mapping.ask_for(wanted)
            on_air, panel = self._described
            mapping.tell(state="Styled by obs-stylizer.", on_air=on_air, panel=panel)
        except BaseException:
            own.release()
            raise
        with self._lock:
            self._mapping, self._own, self._wanted = mapping, own, wanted
            self._heartbeat = Heartbeat(mapping)
            self._questions.clear()
            self._answered_at, self._answer_seconds = None, 0.0
        self._open_here[info.path] = self
        self._last = None
        self._came_at = self._looked_at = time.perf_counter()
        detail = f"a source of {size}, given as {wanted} with alpha; answers go back to it"
        return SourceInfo(f"OBS filter {info}", wanted, mapping.fps, detail)

    def _find(self) -> FilterInfo:
        """Return the filter that is meant, waiting a moment for one.

        Raises:
            SourceWaitingError: there is none like it now.
        """
        until = time.perf_counter() + _LOOK_SECONDS
        while True:
            filters = list_filters()
            found = [info for info in filters if self._means(info)]
            if found:
                return max(found, key=lambda info: info.drawn_at)
            now = time.perf_counter()
            if now >= until:
                break
            time.sleep(_LOOK_SECONDS / 2)
        if filters:
            known = ", ".join(str(info) for info in filters)
            raise SourceWaitingError(
                f"OBS has no obs-stylizer filter on “{self._name}” now", f"it has: {known}"
            )
        raise SourceWaitingError(
            "no obs-stylizer filter is shown in OBS",
            "in OBS: Filters of a source, Effect Filters, +, obs-stylizer; obs-stylizer obs setup "
            "--filter SOURCE does it for you",
        )

    def _means(self, info: FilterInfo) -> bool:
        if self._only is not None:
            return info.path == self._only
        return not self._name or info.answers_to(self._name)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        mapping = self._mapping
        if mapping is None:
            raise SourceError("the OBS filter is not open", "open the source before reading")
        now = time.perf_counter()
        until = now + timeout
        while True:
            if mapping.has_new:
                picture = self._take(mapping)
                if picture is not None:
                    self._came_at = time.perf_counter()
                    return self._frame(picture)
            now = time.perf_counter()
            if mapping.is_closed:
                raise SourceLostError("the filter was removed, or OBS ended")
            self._follow_size(mapping)
            if now >= until:
                self._look_around(mapping, now)
                return None
            time.sleep(min(until - now, self._pause(mapping, now)))

    def _pause(self, mapping: FilterMapping, now: float) -> float:
        """Return for how long to wait before the next look for a picture.

        Half of OBS's time between two frames no other can come; after that every look late is
        latency.
        """
        since = now - self._came_at
        if since > _IDLE_AFTER:
            return _IDLE_POLL_SECONDS
        fps = mapping.fps
        return max(_POLL_SECONDS, 0.5 / fps - since if fps else 0.0)

    def _take(self, mapping: FilterMapping) -> FilterPicture | None:
        with self._lock:
            return mapping.read() if self._mapping is mapping else None

    def _follow_size(self, mapping: FilterMapping) -> None:
        size = mapping.source_size
        if size is not None:
            wanted = fitted(size, self._canvas, mapping.slot_bytes)
            if wanted != self._wanted:
                self._wanted = wanted
                mapping.ask_for(wanted)

    def _look_around(self, mapping: FilterMapping, now: float) -> None:
        """Notice an OBS that was killed, and, where none was named, another filter that is shown.

        Raises:
            SourceLostError: there is a better one now, or ours is gone.
        """
        if now - self._looked_at < _UNSEEN_SECONDS or now - mapping.drawn_at < _UNSEEN_SECONDS:
            return
        self._looked_at = now
        filters = list_filters()
        if all(info.path != mapping.path for info in filters):
            raise SourceLostError("the OBS with the filter ended")
        if (
            self._only is None
            and not self._name
            and any(info.is_seen and info.path != mapping.path for info in filters)
        ):
            raise SourceLostError("another filter is shown in OBS now")

    def _frame(self, picture: FilterPicture) -> Frame:
        pixels = picture.pixels
        height, width = pixels.shape[:2]
        rgb, alpha = straight(pixels)
        margins = margins_for(width, height, self._canvas)
        if any(margins):
            x, y = margins
            rgb = cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_REPLICATE)
        captured_at = self._clock.now() - picture.age
        if captured_at <= self._captured_at:
            captured_at = float(np.nextafter(self._captured_at, np.inf))
        self._captured_at = captured_at
        question = Question(picture.sequence, FrameSize(width, height), margins, alpha)
        with self._lock:
            self._questions[captured_at] = question
            while len(self._questions) > _REMEMBERED:
                self._questions.popitem(last=False)
        last, self._last = self._last, picture.sequence
        # OBS's numbers tell how many frames were overtaken on the way.
        gap = 1 if last is None else (picture.sequence - last) % 2**32
        self._sequence += min(max(gap, 1), 1000)
        return Frame(rgb, self._sequence, captured_at)

    def answer(
        self,
        captured_at: float,
        styled: Pixels,
        alpha: Pixels | None = None,
        *,
        mirrored: bool,
    ) -> None:
        """See :class:`AnsweredSource`."""
        with self._lock:
            mapping = self._mapping
            question = self._questions.pop(captured_at, None)
            if mapping is None or question is None:
                return
            if self._frozen and self._kept is not None:
                answer = self._kept
            else:
                if alpha is not None:
                    styled = without_chroma(styled, alpha)
                answer = composed(styled, question, alpha, mirrored=mirrored)
                self._kept = answer
            height, width = answer.shape[:2]
            try:
                target = mapping.answer_into(FrameSize(width, height))
            except ValueError:
                self._kept = None
                return
            np.copyto(target, answer)
            mapping.publish(question.sequence)
            self._note_pace(mapping)

    def _note_pace(self, mapping: FilterMapping) -> None:
        """Let OBS keep an answer for as long as a slow generator needs for the next."""
        now = time.perf_counter()
        last, self._answered_at = self._answered_at, now
        if last is None:
            return
        seconds = min(now - last, _LONGEST_ANSWER)
        first = self._answer_seconds == 0
        self._answer_seconds += (1.0 if first else _SMOOTHED) * (seconds - self._answer_seconds)
        mapping.stay_fresh_for(_FRESH_FRAMES * self._answer_seconds)

    def beat(self) -> None:
        """See :class:`AnsweredSource`."""
        with self._lock:
            if self._heartbeat is not None:
                slow = _FRESH_FRAMES * self._answer_seconds
                self._heartbeat.go_on(max(_WORKING_SECONDS, slow))

    def describe(self, on_air: str, panel: str = "") -> None:
        """See :class:`AnsweredSource`."""
        with self._lock:
            if (on_air, panel) != self._described:
                self._described = (on_air, panel)
                if self._mapping is not None:
                    self._mapping.tell(on_air=on_air, panel=panel)

    def rest(self) -> None:
        """Have OBS show the plain source until the next sign of life."""
        with self._lock:
            if self._heartbeat is not None:
                self._heartbeat.rest()

    def say(self, state: str) -> None:
        """Say in the filter's properties how it is served."""
        with self._lock:
            if self._mapping is not None:
                self._mapping.tell(state=state)

    def offer(self, presets: Sequence[str]) -> None:
        """See :class:`AnsweredSource`."""
        with self._lock:
            if self._mapping is not None and list(presets) != self._offered:
                self._offered = list(presets)
                self._mapping.offer(self._offered)

    @property
    def preset(self) -> str:
        """See :class:`AnsweredSource`."""
        with self._lock:
            return "" if self._mapping is None else self._mapping.preset

    @property
    def place(self) -> str:
        """See :class:`AnsweredSource`: the name of the OBS source."""
        with self._lock:
            return "" if self._mapping is None else self._mapping.source_name

    @property
    def is_drawn(self) -> bool:
        """Whether OBS draws it now."""
        with self._lock:
            mapping = self._mapping
            drawn_at = 0.0 if mapping is None else mapping.drawn_at
        return time.perf_counter() - drawn_at < _UNSEEN_SECONDS

    def freeze(self, *, frozen: bool) -> None:
        """See :class:`AnsweredSource`."""
        with self._lock:
            self._frozen = frozen

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            mapping, self._mapping = self._mapping, None
            heartbeat, self._heartbeat = self._heartbeat, None
            own, self._own = self._own, None
            self._questions.clear()
            self._offered = []
        if heartbeat is not None:
            heartbeat.close()
        if mapping is not None:
            if self._open_here.get(mapping.path) is self:
                del self._open_here[mapping.path]
            mapping.close()
        if own is not None:
            own.release()


def _lock_on(info: FilterInfo) -> ResourceLock:
    """Make sure that no other obs-stylizer serves a filter.

    Raises:
        SourceWaitingError: another does.
    """
    try:
        return ResourceLock.take(f"OBS filter {info.path.name}")
    except BusyError as error:
        raise SourceWaitingError(
            f"the filter {info} is served by another obs-stylizer: {error.message}",
            "stop that one",
        ) from error
