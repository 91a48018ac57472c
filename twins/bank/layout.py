"""Columns of the bank's row arrays, named once for the kernels and the Python around them.

Every channel (patient, signal) has one row in each of these arrays; all times are µs since 1970.
"""

import msgspec
import numpy as np

from twins.models.channel.recalibration import KINDS, SIDES, recalibration_of
from twins.records import HORIZONS_MIN
from twins.signals import SIGNALS

# state: float64[rows, STATE_WIDTH], two cache lines: the filter itself
M0, M1, P00, P01, P11, T, R_SCALE, INNOVATION, COUNT, FIRST, REJECTS, REJECT_SINCE, QUALITY, VALUE, LAST, TREND = range(
    16
)
STATE_WIDTH = 16
STATE_FIELDS = (
    "m0", "m1", "p00", "p01", "p11", "t", "r_scale", "innovation", "count", "first", "rejects", "reject_since",
    "quality", "value", "last", "trend",
)  # fmt: skip
"""m0 level, m1 slow mode, p.. their covariance, t effective time of the last measurement taken, r_scale adapted noise,
innovation the last normalised innovation, count number of measurements, first their first time, rejects signed run of
gated readings, reject_since its start, quality 0–1, value and last the newest reading and its time, trend of the level
per s.
"""

# watch: float64[rows, WATCH_WIDTH], one cache line: what the alarm rules store about the channel. RUN counts readings
# of one kind: usable ones up from 0, unusable ones down. BAD_SINCE is when the unusable ones began, FLAT_SINCE when the
# value last changed.
RECEIVED, INTERVAL, RUN, BAD_SINCE, FLAT_SINCE, DIRTY, HEAD, PREDICTED = range(8)
WATCH_WIDTH = 8

# ring: float64[rows, RING, 2]: the newest readings in order as (time, value), with any status; watch[HEAD] counts them.
# kept: float64[rows, 2, STATE_WIDTH]: states before the readings whose number is a multiple of PERIOD.
RING = 32
PERIOD = 15
SHOWN = 8
"""The number of newest readings that explain an alarm."""

# limits: float64[rows, LIMIT_WIDTH]
CRITICAL_LOW, LOW, HIGH, CRITICAL_HIGH, HYSTERESIS, DELAY, CRITICAL_DELAY, SILENCE = range(8)
LIMIT_WIDTH = 8

# rate: float32[rows, RATE_LIMITS]: limits of the rate of falling and rising (per s, both positive; 0 or NaN: none) and of
# the quality. rate_since: uint32, since when (s) each is passed or, while its condition is on, no longer passed (0: it is
# not). rate_phase: uint8, their phases.
RATE_LIMITS = 3

# judged: float64[rows, JUDGED_WIDTH]: what the limits store about arrivals. ARRIVED is when the reading was received
# for which a limit waits. PASSED_LOW and PASSED_HIGH are when a critical limit was last passed, in the channel's time,
# and LOW_VALUE and HIGH_VALUE by which value. CONTRADICTED is when readings last passed one and did not in turn. LAG is
# by how much the sender's clock is behind (µs). CLEAR is a setting: how long a low or high limit must not be passed
# before its condition ends (µs).
ARRIVED, PASSED_LOW, PASSED_HIGH, LOW_VALUE, HIGH_VALUE, CONTRADICTED, LAG, CLEAR = range(8)
JUDGED_WIDTH = 8
FRESH_US = 60e6
"""A reading that is not older than this on arrival describes the patient's present state, even if the channel has a
newer time.
"""
RECENT_LEAST_US, RECENT_MOST_US = 300e6, 900e6
"""An older one still does, if it is the newest and the channel may be silent for so long; else it belongs to the past.
"""
GRACE_US = 10e6
"""… after this time without a newer reading, because gaps are uploaded in any order."""

# Pending forecasts: due float64[rows, HORIZONS * SLOTS + 1] (µs; the first is when to look again), forecasts
# float32[rows, HORIZONS * SLOTS, 2] (mean, sd of each), made uint8[rows, MADE_WIDTH] (how they were made, in few
# bits, see ``calibration``). Their results: stretch float32[rows, HORIZONS, 2], tried uint16, recent float32[rows, 4]
# (squared errors as a multiple of the expected ones, of the last half hour and usually; this patient's share of returns
# beyond that of others, and the weight of the results behind it).
HORIZONS_S = tuple(60.0 * minutes for minutes in HORIZONS_MIN)
HORIZONS = len(HORIZONS_S)
SLOTS = 3
RECENT, USUAL, RETURN, WEIGHT = range(4)
MADE_WIDTH = (HORIZONS * SLOTS + 1) // 2 + 2 * SLOTS

# awaiting: float64[rows, AWAITING_WIDTH], one cache line: when, and beyond which values, a reading may judge a stated
# chance; when the next statement may be made; and when each pending statement was made. NaN: nothing.
PENDING_STATEMENTS = 3
Q_NEXT, Q_UNDER, Q_OVER, Q_AGAIN, Q_MADE = range(5)
AWAITING_WIDTH = 8

# stated: float32[rows, PENDING_STATEMENTS, STATED_WIDTH]: the chances stated of the low and the high side (NaN: none;
# negative: a reading beyond the limit has come), the limits in force then, and after which time the statement is judged
# (s; negative: the next reading judges it, up to this time after it was made).
# offsets: float32[rows, 2, 2]: by side the patient's own offset of the logit, and the precision it has gained from
# statements that were judged.
S_CHANCE, S_BOUND, S_SPAN = 0, 2, 4
STATED_WIDTH = 5

# warned: float32[rows, 2, WARNED_WIDTH], by side: what became of predictions of a crossing. CHANCE is the chance of the
# pending one (0: none; negative: about the next reading), RAISED whether it was an alarm, OWN the patient's own offset of
# the logit, TRIALS how many it was learnt from, COUNT and TRUE how many alarms were judged and came true. WANTED is a
# setting: the share of such alarms that should come true. warned_at: int64[rows, 2]: when the pending one was made (µs).
WARNED_CHANCE, WARNED_RAISED, WARNED_OWN, WARNED_TRIALS, WARNED_COUNT, WARNED_TRUE, WARNED_WANTED = range(7)
WARNED_WIDTH = 7

# belief: float32[rows, BELIEF]: the numbers that a forecast is computed from, as sent; from B_STRETCH on the stretch of
# each horizon, then how large recent errors are against the usual ones, and this patient's share of returns.
B_LEVEL, B_SLOW, B_P00, B_P01, B_P11, B_NOISE, B_STRETCH = range(7)
B_RECENT = B_STRETCH + 2 * HORIZONS
B_RETURN = B_RECENT + 1
BELIEF = B_RETURN + 1

# mark: float64[rows, LIMIT_CONDITIONS, 2]: beyond which value a limit's condition that is on is clearly worse (NaN: not
# known yet), and since when the value is beyond it (0: it is not). While a low or high limit waits for its delay: how much
# of it has passed (µs; negative: another reading must confirm it), and when that was counted.
LIMIT_CONDITIONS = 4
BEYOND, BEYOND_SINCE = 0, 1
WAITED, COUNTED = 0, 1

# shown: float64[rows, 2]: time and value of the newest plausible reading before a run of implausible ones

# phase: uint8[rows, CONDITIONS] and since: int64[rows, CONDITIONS]. A low or high limit that is on has a negative time
# in since while it is not passed any more: since when.
PREDICTED_LOW, PREDICTED_HIGH, FAULT, SILENT = 4, 5, 6, 7
CONDITIONS = 8
IDLE, PENDING, ON = 0, 1, 2
DISAGREEMENT = 8
"""A condition of two channels of a patient: its phase is in ``agreement``."""
CLOCK = 9
"""The sender's clock is wrong: judged at the beginning of a frame, see ``twins.step.arrival``."""
RATE_FALLING, RATE_RISING, LOW_QUALITY = 10, 11, 12
"""Conditions of one channel whose phases are in ``rate``."""
JUDGED_CHANCE = 99
"""No condition: an event with this number says that a stated chance was judged, see ``twins.models.channel.statements``."""
UNRELIABLE, MISFIT, FLAT = 1, 2, 3
"""Why a sensor counts as faulty: implausible values, values that do not fit the course, values that never change."""

# agreement: float64[patients, pairs, AGREEMENT_WIDTH]: the usual difference, second minus first source (BIAS, with its
# VARIANCE; 0: no two readings yet), the variance around it, the times of the newest two readings and their difference,
# and the run of the condition.
G_BIAS, G_VARIANCE, G_SPREAD, G_FIRST, G_SECOND, G_DIFFERENCE, G_PHASE, G_SINCE, G_RUN = range(9)
AGREEMENT_WIDTH = 9

# events: float64[n, EVENT_WIDTH], what a kernel reports to the alarm engine; BEGIN says how a condition changed.
(
    E_ROW, E_CONDITION, E_BEGIN, E_TIME, E_VALUE, E_LIMIT, E_MEAN, E_SD, E_TREND, E_QUALITY, E_EXTRA, E_EXPECTED,
) = range(12)  # fmt: skip
E_KIND, E_RING = 12, 13
ENDS, BEGINS, WORSENS = 0.0, 1.0, 2.0
EVENT_WIDTH = E_RING + 2 * SHOWN

# parameters: float64[signals, PARAMETER_WIDTH], from the signals table
(
    A_LOW, A_HIGH, A_R, A_QUANTUM, A_MEAN, A_FAST, A_SLOW, A_S11, A_S12, A_S22, A_JUMP, A_TREND_S, A_BELOW, A_ABOVE, A_TOP,
    A_PREDICTIVE, A_STAY_FAST, A_STAY_SLOW, A_SPREAD_FAST, A_SPREAD_BOTH, A_SPREAD_SLOW, A_FLAT,
    A_WORSE_LOW, A_WORSE_HIGH, A_REPEAT, A_CHANCES,
) = range(26)  # fmt: skip
# From A_CHANCES on: how chances are recalibrated, CHANCE_WIDTH numbers for each kind and side.
C_SLOPE, C_OFFSET, C_PRECISION = range(3)
CHANCE_WIDTH = 3
A_CLEAR = A_CHANCES + 4 * CHANCE_WIDTH
PARAMETER_WIDTH = 40
A_CODE = PARAMETER_WIDTH - 1
"""The last column is the signal's code."""
PREDICT_WITHIN_S = 1800.0
"""The window of predicted crossings; the table has what is left of each mode after it."""


def parameters() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The signals table as the kernels read it, one row per signal code.

    Rates per s of the two modes and their stationary covariance: driving noises with correlation c give c 2 √(λ₁λ₂) /
    (λ₁+λ₂) of the product of the spreads. Then what is left of each mode after ``PREDICT_WITHIN_S``, and the covariance
    added until then.
    """
    table = np.zeros((len(SIGNALS), PARAMETER_WIDTH))
    for signal in SIGNALS:
        modes = signal.modes
        fast, slow = 1.0 / modes.fast_s, 1.0 / modes.slow_s
        shared = modes.coupling * 2.0 * np.sqrt(fast * slow) / (fast + slow)
        stay = np.exp(-PREDICT_WITHIN_S * np.array([fast, slow]))
        table[signal.code, A_CODE] = signal.code
        table[signal.code, : A_REPEAT + 1] = (
            signal.plausible[0],
            signal.plausible[1],
            modes.noise_sd**2,
            signal.step**2 / 12.0,
            modes.mean,
            fast,
            slow,
            modes.fast_sd**2,
            shared * modes.fast_sd * modes.slow_sd,
            modes.slow_sd**2,
            signal.jump,
            signal.trend_s,
            *signal.censored,
            1.0 if signal.predictive_priority else 0.0,
            *stay,
            modes.fast_sd**2 * (1.0 - stay[0] ** 2),
            shared * modes.fast_sd * modes.slow_sd * (1.0 - stay[0] * stay[1]),
            modes.slow_sd**2 * (1.0 - stay[1] ** 2),
            signal.flat_s * 1e6 or np.inf,
            *signal.worse,
            signal.repeat_s * 1e6,
        )
        table[signal.code, A_CLEAR] = signal.clear_s * 1e6
        table[signal.code, A_CHANCES : A_CHANCES + 4 * CHANCE_WIDTH] = [
            figure
            for kind in KINDS
            for side in SIDES
            for figure in msgspec.structs.astuple(recalibration_of(signal.name, kind, side))
        ]
    return table


PARAMETERS = parameters()
