"""The sixteen patients of the demo ward and the schedule of their episodes."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec

from api.cli.demo_ward.sources import Loop, Simulated, Source
from streams.recordings.recording import Recording, read
from twins.simulation.cohort import Episode, draw

__all__ = ["WARD", "Bed", "cast"]

WARD = "Demo"

_MINUTE_US = 60_000_000
_BEDSIDE = {"heart_rate": 1.0, "pulse_rate": 1.0, "respiratory_rate": 1.0, "oxygen_saturation": 1.0}
_OBSERVED = _BEDSIDE | {"systolic_bp": 60.0, "diastolic_bp": 60.0, "body_temperature": 20.0}


class Bed(msgspec.Struct, frozen=True, kw_only=True):
    """A patient: ``source(origin)`` makes the devices for a schedule that begins at ``origin`` (µs).

    ``past_us`` is the length of the history at the first start; ``oxygen`` (L/min) and ``consciousness`` are charted
    unless they are ``None``.
    """

    patient: str
    number: int
    hint: str
    source: Callable[[int], Source]
    past_us: int = 10 * _MINUTE_US
    oxygen: float | None = None
    consciousness: str | None = None

    @property
    def label(self) -> str:
        """The text of the tile."""
        return f"Bed {self.number} · {self.hint}"


def cast() -> list[Bed]:
    """All patients of the ward.

    Recorded: five bedside monitors, three wristbands, three glucose sensors. Simulated: five patients whose episodes begin
    within the first two minutes and then return, each at its own interval.
    """
    beds: list[Bed] = []

    def add(hint: str, source: Callable[[int], Source], **more: object) -> None:
        number = len(beds) + 1
        bed = {"patient": f"demo-{number:02}", "number": number, "hint": hint, "source": source}
        beds.append(Bed(**(bed | more)))  # type: ignore[arg-type] # the fields are those of Bed

    bidmc = _excerpt("bidmc")
    for patient in bidmc.columns.patients:
        add("BIDMC", _looped(bidmc, patient), oxygen=0.0, consciousness="A")
    wristbands = _excerpt("stresspredict")
    for patient in wristbands.columns.patients:
        add("Stress-Predict", _looped(wristbands, patient))
    sensors = _excerpt("hall2018")
    for patient in sensors.columns.patients:
        add("CGM", _looped(sensors, patient), past_us=12 * 60 * _MINUTE_US)
    for seed, episodes, cadence in _SCHEDULE:
        add(
            "Simulation",
            _simulated(seed, episodes, cadence),
            past_us=(180 if "glucose" in cadence else 10) * _MINUTE_US,
            oxygen=0.0,
            consciousness="A",
        )
    return beds


_SCHEDULE: tuple[tuple[int, tuple[Episode, ...], dict[str, float]], ...] = (
    # Heart rate rises above its limit.
    (11, (Episode(kind="tachycardia", start_s=8, rise_s=30, hold_s=70, recover_s=90, period_s=660),), _OBSERVED),
    # Respiratory rate, heart rate and saturation change together, so NEWS2 rises; later, and more slowly, sepsis.
    (
        12,
        (
            Episode(
                kind="respiratory_failure", start_s=2, rise_s=60, hold_s=180, recover_s=240, period_s=3_000, scale=1.3
            ),
            Episode(kind="sepsis", start_s=1_200, rise_s=600, hold_s=300, recover_s=600, period_s=3_000),
        ),
        _OBSERVED,
    ),
    # The sensor clip slips off the finger.
    (13, (Episode(kind="probe_off", start_s=40, hold_s=45, period_s=540),), _BEDSIDE),
    # The monitor stops sending.
    (14, (Episode(kind="silent", start_s=55, hold_s=60, period_s=780),), _OBSERVED),
    # Glucose falls towards its limit: first a predicted alarm, then a limit alarm.
    (
        23,
        (
            Episode(
                kind="hypoglycaemia",
                start_s=-600,
                rise_s=1_800,
                hold_s=900,
                recover_s=2_400,
                period_s=7_200,
                scale=0.9,
            ),
        ),
        _OBSERVED | {"glucose": 60.0},
    ),
)


def _excerpt(name: str) -> Recording:
    with resources.as_file(resources.files(__package__) / f"{name}.csv.gz") as path:
        return read(Path(path))


def _looped(recording: Recording, patient: str) -> Callable[[int], Source]:
    return lambda _: Loop(recording, patient)


def _simulated(seed: int, episodes: tuple[Episode, ...], cadence: dict[str, float]) -> Callable[[int], Source]:
    # Their clock starts at three in the morning: there are no meals in the first hours, and glucose falls from its resting level.
    person = draw(seed, episodes, clock_s=3 * 3_600.0)
    return lambda origin: Simulated(person, cadence, origin)
