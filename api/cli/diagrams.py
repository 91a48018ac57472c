"""Reliability diagrams of stated chances, as SVG pictures."""

from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from streams.recordings.chances import ChanceScores
    from streams.recordings.evaluate import Evaluation

__all__ = ["FEWEST_EVENTS", "diagram", "write_diagrams"]

FEWEST_EVENTS = 50
"""A limit that fewer readings crossed gets no diagram."""
_FEWEST_IN_BIN = 10
_LEFT, _TOP, _SIDE = 52, 76, 240
_WIDTH, _HEIGHT = _LEFT + _SIDE + 18, _TOP + _SIDE + 46
_LEAST_RADIUS, _MOST_RADIUS = 2.5, 11.0
_Z95 = 1.959963984540054
_KINDS = {"within_30_min": "a reading {} within 30 min", "next_reading": "the next reading {}"}


def write_diagrams(result: "Evaluation", folder: Path) -> list[Path]:
    """Write one picture for each limit and kind of chance with ``FEWEST_EVENTS`` or more; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    stem = Path(result.file).name.removesuffix(".gz").removesuffix(".csv")
    for name, signal in result.signals.items():
        for side in signal.crossings:
            for scores in side.chances:
                if scores.events < FEWEST_EVENTS:
                    continue
                beyond = f"{'below' if side.side == 'low' else 'above'} {side.limit:g}"
                event = _KINDS[scores.kind].format(beyond)
                several = "" if scores.kind == side.together.kind else f"-{scores.kind.replace('_', '-')}"
                path = folder / f"{stem}-{name.replace('_', '-')}-{side.side}{several}.svg"
                words = name.replace("_bp", "_blood_pressure").replace("_", " ").capitalize()
                path.write_text(diagram(words, event, scores), encoding="utf-8")
                written.append(path)
    return written


def diagram(signal: str, event: str, scores: "ChanceScores") -> str:
    """One picture: across, the mean stated chance of a bin; up, the share that came; the larger a dot, the more chances.

    Dots on the dashed line are honest. A bin with fewer than 10 chances is a ring. The line through a dot is the 95 %
    interval of the share (Wilson 1927), as if chances were independent.
    """
    filled = [one for one in scores.bins if one.count]
    most = max((one.count for one in filled), default=1)
    words = "; ".join(f"stated {one.stated:.0%}, came {one.true:.0%} of {one.count:,}" for one in filled)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="11">',
        f"<title>{escape(f'{signal}: {event}')}</title>",
        f"<desc>{escape(words)}</desc>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="10" y="17" font-size="12" font-weight="bold" fill="#222">{escape(signal)}</text>',
        f'<text x="10" y="32" fill="#222">{escape(event)}</text>',
        f'<text x="10" y="47" fill="#555">{scores.count:,} chances, {scores.events:,} came true</text>',
        f'<text x="10" y="61" fill="#555">error {scores.ece:.3f}, skill {scores.skill:+.2f}</text>',
        *_axes(),
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="#888" stroke-dasharray="4 4"/>',
    ]
    for one in filled:
        radius = max(_LEAST_RADIUS, _MOST_RADIUS * sqrt(sqrt(one.count / most)))
        sure = one.count >= _FEWEST_IN_BIN
        low, high = _interval(one.true, one.count)
        lines.append(f'<path d="M{_x(one.stated)} {_y(low)}V{_y(high)}" stroke="#1f6feb" stroke-opacity="0.45"/>')
        paint = 'fill="#1f6feb" fill-opacity="0.75"' if sure else 'fill="none" stroke="#1f6feb"'
        lines.append(f'<circle cx="{_x(one.stated)}" cy="{_y(one.true)}" r="{radius:.1f}" {paint}/>')
    return "\n".join([*lines, "</svg>", ""])


def _interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    >>> [round(end, 3) for end in _interval(0.5, 10)]
    [0.237, 0.763]
    """
    square = _Z95 * _Z95 / count
    middle = (share + square / 2.0) / (1.0 + square)
    half = _Z95 * sqrt(share * (1.0 - share) / count + square / (4.0 * count)) / (1.0 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _axes() -> list[str]:
    lines = []
    for percent in range(0, 101, 20):
        share = percent / 100
        grid = "#bbb" if percent == 0 else "#eee"
        lines += [
            f'<path d="M{_x(share)} {_y(0)}V{_y(1)}M{_x(0)} {_y(share)}H{_x(1)}" stroke="{grid}"/>',
            f'<text x="{_x(share)}" y="{_y(0) + 15}" text-anchor="middle" fill="#555">{percent}</text>',
            f'<text x="{_x(0) - 7}" y="{_y(share) + 4}" text-anchor="end" fill="#555">{percent}</text>',
        ]
    middle = _TOP + _SIDE / 2
    return [
        *lines,
        f'<text x="{_x(0.5)}" y="{_HEIGHT - 10}" text-anchor="middle" fill="#222">stated chance, %</text>',
        f'<text transform="translate(14 {middle:g}) rotate(-90)" text-anchor="middle" fill="#222">came true, %</text>',
    ]


def _x(share: float) -> float:
    return round(_LEFT + _SIDE * share, 1)


def _y(share: float) -> float:
    return round(_TOP + _SIDE * (1.0 - share), 1)
