"""Style packs: one style of a generator in one small file, to keep and to pass on.

``NAME.style`` is a JSON document: the style's row (:mod:`obs_stylizer.inference.style_rows`), what
people want to know about it, a thumbnail, and the hash of the generator it belongs to. Nothing in
it is run, unpickled or used as a path, and nothing larger than :data:`MAX_BYTES` is read.
"""

from __future__ import annotations

import base64
import logging
import os
import tempfile
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from obs_stylizer.documents import Section
from obs_stylizer.errors import ModelError
from obs_stylizer.inference.style_rows import row_of
from obs_stylizer.settings import config_folder

log = logging.getLogger(__name__)

SUFFIX: Final = ".style"
MAX_BYTES: Final = 40_000
"""A pack is never larger: some 6 500 bytes of row, and a thumbnail."""
MAX_INSTALLED: Final = 500
NAME_PATTERN: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_LARGEST: Final = 1000.0
"""Scales and shifts of a trained style lie within ±20; beyond this they are damaged."""
_JPEG_START: Final = b"\xff\xd8\xff"

Line = Annotated[str, Field(max_length=500)]


class StylePack(Section):
    """What a pack holds."""

    kind: Literal["obs-stylizer style"] = "obs-stylizer style"
    version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN, max_length=60)
    """Name of the style, and of its file."""
    title: str = Field(min_length=1, max_length=80)
    """Name for people."""
    description: Line = ""
    """One line that a streamer understands."""
    licence: Line = "unknown"
    """Licence of the style."""
    author: Line = ""
    """Who made it."""
    generator: str = Field(min_length=1, max_length=60)
    """Name of the generator that the row belongs to."""
    weights_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of that generator's weights, as its file states it."""
    row: str
    """Scales and shifts, as :func:`~obs_stylizer.inference.style_rows.row_text` writes them."""
    thumbnail: str = ""
    """A small picture in this style, JPEG in base64."""
    quality: dict[str, float] = Field(default_factory=dict, max_length=20)
    """Figures measured when it was learnt, by name."""

    @field_validator("row")
    @classmethod
    def _check_row(cls, value: str) -> str:
        if np.abs(row_of(value)).max() > _LARGEST:
            raise ValueError("it holds numbers that no style has")
        return value

    @field_validator("thumbnail")
    @classmethod
    def _check_thumbnail(cls, value: str) -> str:
        picture = base64.b64decode(value, validate=True)
        if picture and not picture.startswith(_JPEG_START):
            raise ValueError("it is no JPEG")
        return value

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The row, float32 (R,)."""
        return row_of(self.row)

    @property
    def picture(self) -> bytes:
        """The thumbnail as JPEG; empty without one."""
        return base64.b64decode(self.thumbnail)


def styles_folder() -> Path:
    """Where installed packs are."""
    return config_folder() / "styles"


def read_pack(path: Path) -> StylePack:
    """Read and check a pack.

    Raises:
        ModelError: it cannot be read, is too large, cut off, or no style pack.
    """
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path} is no ordinary file")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"there is no style pack {path}", "check the path") from None
    except OSError as cause:
        raise ModelError(f"{path}: cannot be read: {cause.strerror or cause}") from cause
    if len(content) > MAX_BYTES:
        raise ModelError(f"{path} is larger than {MAX_BYTES // 1000} KB, so it is no style pack")
    return parse_pack(content, str(path))


def parse_pack(content: bytes, where: str) -> StylePack:
    """Return the pack that ``content`` is; ``where`` is named in errors.

    Raises:
        ModelError: it is cut off, or no style pack.
    """
    try:
        return StylePack.model_validate_json(content)
    except ValidationError as cause:
        first = cause.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"{place}: {first['msg']}" if place else first["msg"]
        raise ModelError(
            f"{where} is cut off or no style pack ({what})", "ask for the file again"
        ) from cause


def write_pack(pack: StylePack, path: Path) -> None:
    """Write ``pack`` whole or not at all.

    Raises:
        ModelError: it would be too large, or cannot be written.
    """
    content = pack.model_dump_json(indent=1).encode()
    if len(content) > MAX_BYTES:
        raise ModelError(
            f"the style pack {pack.name} would take {len(content)} bytes, more than {MAX_BYTES}",
            "give it a smaller thumbnail",
        )
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except OSError as cause:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written: {cause.strerror or cause}") from cause


class StylePackFolder:
    """The packs in a folder, each read again only when its file has changed.

    A pack that is broken is reported once and left out. Any thread may call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Never changed, only replaced: other threads may be reading.
        self._read: Mapping[Path, tuple[tuple[int, int], StylePack | None]] = {}

    def all(self) -> dict[str, StylePack]:
        """Return every good pack by its name, sorted.

        A pack's file has its name; one of another name is left out.
        """
        found: dict[Path, tuple[tuple[int, int], StylePack | None]] = {}
        try:
            files = sorted(self.folder.glob(f"*{SUFFIX}"))[:MAX_INSTALLED]
        except OSError:
            files = []
        for path in files:
            try:
                stat = path.stat()
            except OSError:
                continue
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._read.get(path)
            found[path] = known if known and known[0] == stamp else (stamp, _read_named(path))
        self._read = found
        return {pack.name: pack for _, pack in found.values() if pack is not None}

    def rows(self, weights_hash: str) -> dict[str, NDArray[np.float32]]:
        """Return the rows of the packs that belong to one generator, by name."""
        return {
            name: pack.values
            for name, pack in self.all().items()
            if pack.weights_hash == weights_hash
        }


def installed_packs() -> StylePackFolder:
    """Return the folder of the installed packs, with what was read of it before."""
    return _folder_at(styles_folder())


@lru_cache(maxsize=4)
def _folder_at(folder: Path) -> StylePackFolder:
    return StylePackFolder(folder)


def _read_named(path: Path) -> StylePack | None:
    try:
        pack = read_pack(path)
    except ModelError as error:
        log.warning("%s", error)
        return None
    if pack.name != path.stem:
        log.warning("%s holds the style %s; give the file that name", path, pack.name)
        return None
    return pack
