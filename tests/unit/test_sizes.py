# SPDX-License-Identifier: Apache-2.0
"""Sizes are numbers of bytes, or text that says one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applevz import Error, InvalidArgumentError, InvalidArgumentTypeError
from applevz._values.sizes import size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("512 MB", 512 * 10**6),
        (" 1 TiB ", 1 << 40),
        ("1.5GiB", 3 << 29),
        ("0.5KiB", 512),
        ("4096B", 4096),
        ("3kB", 3000),
        ("0B", 0),
    ],
)
def test_text_says_a_size(text: str, number: int) -> None:
    assert size("memory_size", text) == number


@pytest.mark.parametrize("text", ["", "MiB", "512", "512M", "512 mib", "-1MiB", "1.MiB", ".5MiB", "1e3MiB", "0.3B"])
def test_other_text_is_refused_by_field_and_value_and_with_what_would_do(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        size("memory_size", text)
    assert caught.value.localized_description == f"memory_size is {text!r}, which is not a size."
    assert caught.value.failure_reason
    assert "512MiB" in (caught.value.recovery_suggestion or "")


def test_digits_of_other_scripts_are_not_digits() -> None:
    with pytest.raises(InvalidArgumentError):
        size("memory_size", "\N{ARABIC-INDIC DIGIT FIVE}MiB")


@pytest.mark.parametrize("value", [True, 1.5, None, b"512MiB", [], float("nan")])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentTypeError) as caught:
        size("memory_size", value)  # type: ignore[arg-type]
    assert isinstance(caught.value, TypeError)
    assert "memory_size" in caught.value.localized_description


@pytest.mark.parametrize("value", [-1, 1 << 64, 1 << 20000, "99999999TiB"], ids=["-1", "2**64", "2**20000", "TiB"])
def test_what_64_bits_do_not_hold_is_refused(value: int | str) -> None:
    with pytest.raises(InvalidArgumentError):
        size("memory_size", value)


@given(
    st.text() | st.integers() | st.floats() | st.from_regex(r"[0-9]{1,30}(\.[0-9]{1,30})? ?[kKMGT]?i?B", fullmatch=True)
)
def test_anything_is_a_size_or_refused(value: int | str | float) -> None:
    with contextlib.suppress(Error):
        assert 0 <= size("memory_size", value) < 1 << 64  # type: ignore[arg-type]
