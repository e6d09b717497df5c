"""PODs, byte by byte as PipeWire has them."""

from __future__ import annotations

import struct

import pytest

from obs_stylizer.pipewire import pods


def test_an_object_is_read_as_it_was_made() -> None:
    made = pods.make_object(
        0x40003,
        3,
        (
            (1, pods.identifier(2)),
            (2, pods.integer(-5)),
            (3, pods.rectangle(1280, 720)),
            (4, pods.fraction(30000, 1001)),
        ),
    )
    assert len(made) % 8 == 0
    assert pods.read_object(made) == {1: 2, 2: -5, 3: (1280, 720), 4: (30000, 1001)}


def test_of_a_choice_the_default_is_read() -> None:
    made = pods.make_object(
        0x40003,
        3,
        (
            (1, pods.one_of((pods.identifier(8), pods.identifier(12)))),
            (2, pods.in_range(pods.integer(4), pods.integer(2), pods.integer(16))),
            (3, pods.any_of_flags(pods.integer(6))),
        ),
    )
    assert pods.read_object(made) == {1: 8, 2: 4, 3: 6}


def test_the_bytes_are_those_of_the_documentation() -> None:
    # size, type Int, value, padding to eight bytes
    assert pods.integer(7) == struct.pack("=IIiI", 4, 4, 7, 0)
    assert pods.rectangle(3, 2) == struct.pack("=IIII", 8, 10, 3, 2)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 7, pods.integer(1), pods.make_object(1, 2, ((3, pods.integer(4)),))[:-8]],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="object"):
        pods.read_object(data)


def test_an_object_that_says_more_than_it_holds() -> None:
    whole = pods.make_object(1, 2, ((3, pods.integer(4)),))
    lying = whole[:24] + struct.pack("=II", 4, 10) + whole[32:]
    with pytest.raises(ValueError, match="not whole"):
        pods.read_object(lying)
