"""Lines as they are sent; tests/streams/history/influx has them read back from the real server."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.history.columns import Segment
from streams.history.influx.line_protocol import (
    FORECAST_FIELDS,
    LAST_US,
    Tags,
    escaped,
    estimate_lines,
    forecast_lines,
    observation_lines,
    quoted,
    signal_tag,
    tag,
    unescaped,
)

any_text = st.text(st.characters(exclude_categories=[])) | st.text("%5C\\ ,=\n\r\t\0\ud800é")


@given(any_text)
def test_escaping_can_be_undone_and_leaves_nothing_a_tag_cannot_hold(text: str) -> None:
    result = escaped(text)
    assert unescaped(result) == text
    assert result
    assert not set(result) & set("\\\n\r\t\0")
    result.encode()


@pytest.mark.parametrize(
    ("text", "result"),
    [("a b,c=d", rb"a\ b\,c\=d"), ("a\\", b"a%5C"), ("\n", b"%0A"), ("", b"%"), ("%", b"%25"), ("ü", "ü".encode())],
)
def test_tags(text: str, result: bytes) -> None:
    assert tag(text) == result


def test_strings_of_fields() -> None:
    assert quoted(b'a "b" \\n\\') == b'"a \\"b\\" \\\\n\\\\"'


def segment(signal, time, *columns, patient=0) -> Segment:
    count = len(time)
    return Segment(
        ["p 1", "q"], np.full(count, patient, "u4"), (np.full(count, signal, "u2"), np.array(time, "i8"), *columns)
    )  # fmt: skip


def test_observations() -> None:
    value, status = np.array([70.0, 0.1, np.nan, np.inf, 1e300, -0.0]), np.array([0, 2, 9, 0, 1, 11], "u1")
    result = observation_lines(Tags("observation"), segment(0, range(6), value, status))
    begin = r"observation,patient=p\ 1,signal=" + signal_tag(0) + " "
    assert result.body.decode().splitlines() == [
        begin + "value=70.0,status=0i 0", begin + 'refused="0.1",status=2i 1', begin + 'refused="nan",status=9i 2',
        begin + 'refused="inf",status=0i 3', begin + "value=1e300,status=1i 4", begin + "again=-0.0,again_status=11i 5",
    ]  # fmt: skip
    assert (result.lines, result.lost) == (6, 0)


def test_estimates_leave_out_what_is_no_number() -> None:
    mean, sd = np.array([1.5, np.nan, np.nan, 2.0]), np.array([0.5, np.inf, np.nan, np.nan])
    result = estimate_lines(
        Tags("estimate"), segment(60_000, range(4), mean, sd, np.array([1, 0.5, np.nan, 1], "f4"), patient=1)
    )
    assert result.body.decode().splitlines() == [
        "estimate,patient=q,signal=60000 mean=1.5,sd=0.5,quality=1.0 0", "estimate,patient=q,signal=60000 quality=0.5 1",
        "estimate,patient=q,signal=60000 mean=2.0,quality=1.0 3",
    ]  # fmt: skip
    assert (result.lines, result.lost) == (3, 1)


def test_forecasts_by_horizon_and_quantile() -> None:
    assert FORECAST_FIELDS[0] == "p05_5"
    assert FORECAST_FIELDS[4] == "p50_30"
    quantiles = np.arange(27, dtype="f4").reshape(3, 9) + np.float32(0.1)
    quantiles[1, :6] = np.nan
    quantiles[2] = np.nan
    result = forecast_lines(Tags("forecast"), segment(0, [60, 120, 180], *quantiles.T))
    first, second = result.body.decode().splitlines()
    begin = r"forecast,patient=p\ 1,signal=" + signal_tag(0) + " "
    fields = dict(pair.split("=") for pair in first.removeprefix(begin).removesuffix(" 60").split(","))
    assert list(fields) == list(FORECAST_FIELDS)
    assert [np.float32(text) for text in fields.values()] == quantiles[0].tolist()
    assert (
        second
        == begin + ",".join(f"{n}={float(quantiles[1, 6 + at])}" for at, n in enumerate(FORECAST_FIELDS[6:])) + " 120"
    )
    assert (result.lines, result.lost) == (2, 1)


def test_times_the_server_has_not_are_left_out() -> None:
    time = [-(1 << 62), -LAST_US - 1, -LAST_US, LAST_US, LAST_US + 1]
    result = observation_lines(Tags("observation"), segment(0, time, np.ones(5), np.zeros(5, "u1")))
    assert (result.lines, result.lost) == (2, 3)
    result = observation_lines(Tags("observation"), segment(0, [1 << 62], np.ones(1), np.zeros(1, "u1")))
    assert result == (b"", 0, 1)
    assert estimate_lines(Tags("estimate"), segment(0, [1 << 62], *[np.ones(1)] * 3)) == (b"", 0, 1)


def test_beginnings_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.history.influx.line_protocol._TAGS_KEPT", 3)
    tags = Tags("m")
    result = [tags.of(f"{number}", 0) for number in range(10)]
    assert result == [tags.of(f"{number}", 0) for number in range(10)]
    assert len(tags._known) <= 3
