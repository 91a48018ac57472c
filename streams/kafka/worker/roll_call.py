"""Answer a door that asks for the whole state of partitions."""

import secrets
from collections.abc import Callable

import aiokafka
import msgspec

from streams.kafka.connect import options
from streams.kafka.messages import ADDRESS, ANSWER, PART, Call, decode_call
from streams.kafka.worker.outgoing import Outgoing
from streams.settings import Settings
from twins.bank.bank import Bank
from twins.step.estimates import complete

__all__ = ["answer_calls", "state_to"]

_STATED = 500
"""Patients per record of a state."""


async def answer_calls(
    settings: Settings, topic: str, outgoing: Outgoing, found: Callable[[int], tuple[Bank, int] | None]
) -> None:
    """Send partitions' state to each door that calls, until cancelled.

    ``found`` gives a partition's bank and the offset it has seen, if this worker has restored it. Raises ``KafkaError``.
    """
    consumer = aiokafka.AIOKafkaConsumer(
        topic, **options(settings), enable_auto_commit=False, auto_offset_reset="latest"
    )
    try:
        await consumer.start()
        async for record in consumer:
            call = _read(record.value)
            for partition in call.partitions if call else ():
                state = found(partition)
                if call is not None and state is not None:
                    await state_to(outgoing, call.door.encode(), *state)
    finally:
        await consumer.stop()


def _read(raw: bytes | None) -> Call | None:
    try:
        return decode_call(raw or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # a foreign record: its producer expects no answer


async def state_to(outgoing: Outgoing, door: bytes, bank: Bank, offset: int) -> None:
    """Send the whole state of a partition, which has seen the log up to ``offset``, to one door or to all."""
    starts = range(0, max(bank.patients, 1), _STATED)
    # Everything is computed before the first await: it is the state at one offset.
    parts = [complete(bank, offset, first, first + _STATED) for first in starts]
    answer = secrets.token_bytes(8)
    for number, part in enumerate(parts):
        headers = [(ADDRESS, door), (ANSWER, answer), (PART, b"%d/%d" % (number, len(parts)))]
        await outgoing.outcome(part, headers)
