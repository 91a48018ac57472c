"""``vitaltwin simulate``: a synthetic cohort as a recorded file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import failures, print_json, progress, say

if TYPE_CHECKING:
    from twins.simulation.cohort import Person

__all__ = ["simulate"]

_START_US = 946_684_800_000_000  # 2000-01-01T00:00:00Z: clearly not a real date


def simulate(
    out: Annotated[Path, typer.Option(help="The file to write: .csv or .csv.gz.", dir_okay=False)],
    *,
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="Number of patients.")] = 10,
    hours: Annotated[float, typer.Option(min=0.01, max=8_760, help="Recorded hours of each patient.")] = 24.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 1,
    every: Annotated[
        float, typer.Option(min=1, help="Seconds between readings of heart rate, respiratory rate and SpO2.")
    ] = 10.0,
    ill_share: Annotated[float, typer.Option(min=0, max=1, help="Share of patients who deteriorate.")] = 0.4,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Write a synthetic cohort: circadian vital signs, meals, artefacts, and patients who deteriorate."""
    import numpy as np

    from streams.recordings.recording import write
    from twins.simulation.cohort import draw, ill

    rng = np.random.default_rng(seed)
    sick, diabetic = rng.random(patients) < ill_share, rng.random(patients) < 0.3
    people = []
    for number in range(patients):
        own = seed * 1_000_003 + number
        people.append(draw(own, ill(own, hours) if sick[number] else (), diabetic=bool(diabetic[number])))
    with failures(), progress() as bars:
        task = bars.add_task("simulating", total=patients)
        written = write(out, _lines(people, hours, every, lambda: bars.advance(task)))
    figures = {
        "file": str(out), "patients": patients, "readings": written, "hours": hours, "seed": seed,
        "deteriorating": int(sick.sum()), "bytes": out.stat().st_size,
    }  # fmt: skip
    if as_json:
        print_json(figures)
    else:
        say(f"{out}: {written:,} readings of {patients} patients, {int(sick.sum())} of them deteriorating")


def _lines(people: "list[Person]", hours: float, every: float, done: Callable[[], None]) -> Iterator[str]:
    import numpy as np

    from twins.signals import SIGNALS
    from twins.simulation.cohort import CADENCE_S, readings

    cadence = {name: every if usual == 10.0 else usual for name, usual in CADENCE_S.items()}
    endings = {signal.code: f",{signal.unit}\n" for signal in SIGNALS}
    width = max(3, len(str(len(people))))
    for number, person in enumerate(people, start=1):
        own = cadence if person.diabetic else {name: s for name, s in cadence.items() if name != "glucose"}
        codes, times, values = readings(person, 0.0, hours * 3_600.0, own)
        moments = np.datetime_as_string((times * 1e6 + _START_US).astype(np.int64).astype("datetime64[us]"), unit="s")
        start = f"synthetic-{number:0{width}},"
        for moment, code, value in zip(moments.tolist(), codes.tolist(), values.tolist(), strict=True):
            yield f"{start}{moment}Z,{SIGNALS[code].name},{value:g}{endings[code]}"
        done()
