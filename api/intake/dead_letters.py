"""Dead letters of the doors: how many are stored for one sender, and how they are written without delaying readings."""

from collections.abc import Sequence

from api.http.windows import Windows
from api.runtime import Service
from streams.log.log import DeadLetter

__all__ = ["A_MINUTE", "DeadLetters"]

A_MINUTE = 5_000
"""Dead letters stored for one sender in a minute: half of the room, because the oldest of all senders are deleted first."""
_AT_ONCE = 25
"""Dead letters of one commit: a reading that arrives meanwhile waits for at most so many."""


class DeadLetters:
    """Stores dead letters; a sender of many does not displace those of others."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lately = Windows([(A_MINUTE, 60.0)])

    def room(self, sender: str) -> int:
        """How many more of this sender can be stored now."""
        return self._lately.left(sender)

    async def keep(self, sender: str, letters: Sequence[DeadLetter]) -> None:
        """Return once they are durable; raises ``LogUnavailable``."""
        if letters:
            self._lately.add(sender, len(letters))
        for start in range(0, len(letters), _AT_ONCE):
            await self._service.refuse(letters[start : start + _AT_ONCE])
