"""From what somebody names on the command line to single pieces of work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from obs_stylizer.errors import SourceError, UsageError
from obs_stylizer.pictures import is_picture
from obs_stylizer.render.encoders import CONTAINERS, Codec
from obs_stylizer.render.file_names import exists, is_folder
from obs_stylizer.render.pictures import WRITTEN, pictures_in, written_name

STREAM: Final = "-"


class Kind(StrEnum):
    """What a piece of work is."""

    CLIP = "clip"
    PICTURE = "picture"
    FILM = "film"
    """The pictures of a folder as one video."""
    ANIMATION = "animation"
    """The pictures of one file as one video."""
    STREAM = "stream"
    """YUV4MPEG2 in, out, or both."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to render. ``source`` and ``target`` are None for a stream."""

    kind: Kind
    source: Path | None
    target: Path | None

    def __str__(self) -> str:
        return f"{self.source or 'stdin'} → {self.target or 'stdout'}"


def plan_requests(
    sources: Sequence[str], target: str, codec: Codec, container: str
) -> list[Request]:
    """Decide what is made of what.

    Args:
        sources: files, folders of pictures, or ``-``.
        target: a file, a folder, or ``-``.
        codec: of videos.
        container: suffix of videos with or without its dot; "" for the usual one.

    Raises:
        UsageError: the names do not go together.
        SourceError: a source is not there.
    """
    if not sources:
        raise UsageError("there is nothing to render", "name a video or a picture")
    suffix = checked_container(container, codec)
    if STREAM in (target, *sources):
        return [_stream_request(sources, target, codec, suffix)]
    paths = [Path(source) for source in sources]
    # Of several, one that is not there is told at its turn and keeps no other from being rendered.
    if len(paths) == 1 and not exists(paths[0]):
        raise SourceError(f"there is no file {paths[0]}", "check the path")
    folder = _as_folder(target, paths)
    if folder is not None:
        requests = _into_folder(paths, folder, codec, suffix)
    else:
        requests = [_single(paths[0], Path(target), codec, suffix)]
    _check_targets(requests)
    return requests


def checked_container(container: str, codec: Codec) -> str:
    """Return a container's suffix with its dot; "" for "".

    Raises:
        UsageError: the codec cannot go into it.
    """
    if not container:
        return ""
    suffix = f".{container.lower().removeprefix('.')}"
    if suffix not in CONTAINERS[codec]:
        raise UsageError(
            f"{codec} cannot go into {suffix}",
            f"it goes into {', '.join(CONTAINERS[codec])}",
        )
    return suffix


def container_for(source: Path, codec: Codec, suffix: str) -> str:
    """Return the suffix of a video made of ``source``: the same if the codec can go into it."""
    if suffix:
        return suffix
    own = source.suffix.lower()
    return own if own in CONTAINERS[codec] else CONTAINERS[codec][0]


def _stream_request(sources: Sequence[str], target: str, codec: Codec, suffix: str) -> Request:
    if len(sources) > 1:
        raise UsageError("a stream is one picture after another", "render one file at a time")
    source = None if sources[0] == STREAM else Path(sources[0])
    if source is not None and not exists(source):
        raise SourceError(f"there is no file {source}", "check the path")
    if source is not None and (is_folder(source) or is_picture(source)):
        raise UsageError(f"{source} cannot be streamed", "name a video, or a file after -o")
    if target == STREAM:
        return Request(Kind.STREAM, source, None)
    return Request(Kind.STREAM, source, _video_target(Path(target), codec, suffix))


def _as_folder(target: str, paths: Sequence[Path]) -> Path | None:
    """Return the folder that ``target`` means, or None if it means a file."""
    path = Path(target)
    if is_folder(path) or target.endswith(("/", "\\")):
        return path
    if len(paths) > 1 or not path.suffix:
        if path.suffix:
            raise UsageError(
                f"{len(paths)} inputs cannot become one {path.name}", "give -o a folder"
            )
        return path
    return None


def _into_folder(paths: Sequence[Path], folder: Path, codec: Codec, suffix: str) -> list[Request]:
    requests = []
    for path in paths:
        if is_folder(path):
            requests += _of_folder(path, folder, is_only=len(paths) == 1)
        elif is_picture(path):
            names = {other.name for other in paths if other is not path}
            requests.append(Request(Kind.PICTURE, path, folder / written_name(path, names)))
        else:
            name = f"{path.stem}{container_for(path, codec, suffix)}"
            requests.append(Request(Kind.CLIP, path, folder / name))
    return requests


def _of_folder(path: Path, folder: Path, *, is_only: bool) -> list[Request]:
    """One folder goes into the folder itself, several into folders of their names."""
    try:
        return _pictures(pictures_in(path), folder if is_only else folder / path.name)
    except SourceError:
        if is_only:
            raise
    # Told at its turn, so that it keeps no other from being rendered.
    return [Request(Kind.FILM, path, folder / path.name)]


def _pictures(pictures: Sequence[Path], folder: Path) -> list[Request]:
    names = {picture.name for picture in pictures}
    return [
        Request(Kind.PICTURE, picture, folder / written_name(picture, names))
        for picture in pictures
    ]


def _single(path: Path, target: Path, codec: Codec, suffix: str) -> Request:
    if is_folder(path):
        return Request(Kind.FILM, path, _video_target(target, codec, suffix))
    if is_picture(path):
        if target.suffix.lower() in WRITTEN:
            return Request(Kind.PICTURE, path, target)
        if target.suffix.lower() in CONTAINERS[codec]:
            return Request(Kind.ANIMATION, path, _video_target(target, codec, suffix))
        raise UsageError(
            f"a picture cannot become {target.name}",
            f"its name may end in {', '.join(sorted(WRITTEN))}; "
            f"of an animation, in {', '.join(CONTAINERS[codec])}",
        )
    return Request(Kind.CLIP, path, _video_target(target, codec, suffix))


def _video_target(target: Path, codec: Codec, suffix: str) -> Path:
    own = target.suffix.lower()
    if suffix and own and suffix != own:
        raise UsageError(
            f"{target.name} and --container {suffix[1:]} do not agree",
            f"leave --container out, or name it {target.stem}{suffix}",
        )
    if not own:
        return target.with_name(f"{target.name}{suffix or CONTAINERS[codec][0]}")
    if own not in CONTAINERS[codec]:
        raise UsageError(
            f"{codec} cannot go into {own}", f"it goes into {', '.join(CONTAINERS[codec])}"
        )
    return target


def _check_targets(requests: Sequence[Request]) -> None:
    seen: dict[str, Request] = {}
    for request in requests:
        if request.target is None or request.source is None:
            continue
        # Not Path.resolve, which fails at links that lead to themselves.
        target = os.path.realpath(request.target)
        if target == os.path.realpath(request.source):
            raise UsageError(
                f"{request.source} would be replaced by its own rendering",
                "give -o another name or folder",
            )
        other = seen.setdefault(target, request)
        if other is not request:
            raise UsageError(
                f"{other.source} and {request.source} would both become {request.target}",
                "render them into different folders",
            )
