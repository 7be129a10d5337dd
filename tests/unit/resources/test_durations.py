import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esa_preload_operator.resources.durations import parse_duration

# Go's package time counts in nanoseconds; this follows its ParseDuration step by step, with integers.
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DIGITS = "0123456789"


def _take(text: str, letters: str, *, wanted: bool) -> tuple[str, str]:
    end = next((at for at, letter in enumerate(text) if (letter in letters) is not wanted), len(text))
    return text[:end], text[end:]


def _nanoseconds_as_go_reads_them(text: str) -> int | None:
    sign, rest = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if rest == "0":
        return 0
    if not rest:
        return None
    total = 0
    while rest:
        whole, rest = _take(rest, _DIGITS, wanted=True)
        fraction = ""
        if rest.startswith("."):
            fraction, rest = _take(rest[1:], _DIGITS, wanted=True)
        unit, rest = _take(rest, _DIGITS + ".", wanted=False)
        if not (whole or fraction) or unit not in _UNITS:
            return None
        total += int(whole or "0") * _UNITS[unit] + int("0" + fraction) * _UNITS[unit] // 10 ** len(fraction)
    if total >= 2**63:
        return None
    return -total if sign == "-" else total


_numbers = st.one_of(
    st.integers(0, 10**6).map(str), st.from_regex(r"\A[0-9]{0,4}\.[0-9]{0,4}\Z"), st.integers(0, 10**30).map(str)
)
_parts = st.tuples(_numbers, st.sampled_from([*_UNITS, "", "d", "S", "µ"])).map("".join)
_like_durations = st.tuples(st.sampled_from(["", "", "+", "-"]), st.lists(_parts, max_size=4).map("".join)).map("".join)


@given(st.one_of(_like_durations, st.text("0123456789.hmsnuµμ+- ٣", max_size=8), st.text(max_size=5)))
@example("0")
@example("-0")
@example("1.s")
@example(".5s")
@example(".s")
@example("٣s")
@example("2562047h47m16s")
@example("2562048h")
@example("1h\n")
@example("-.1ns")
@example("-.6ns.6ns")
def test_durations_are_read_as_go_reads_them(text: str) -> None:
    nanoseconds = _nanoseconds_as_go_reads_them(text)
    if nanoseconds is None or nanoseconds < 0:
        with pytest.raises(ValueError, match=r"is not a duration|is too long for a duration"):
            parse_duration(text)
    else:
        assert parse_duration(text) == pytest.approx(nanoseconds / 1e9, abs=4e-9)
