"""Dead letters of the doors: how many of one sender are kept, and how they get to the log without holding up readings."""

from collections.abc import Sequence

from api.http.windows import Windows
from api.runtime import Service
from streams.log.log import DeadLetter

__all__ = ["A_MINUTE", "DeadLetters"]

A_MINUTE = 5_000
"""Entries of one sender kept in a minute, half of what there is room for: the oldest letters go first, whosesoever."""
_AT_ONCE = 25
"""DeadLetters of one commit: a reading that comes meanwhile waits for so many and no more."""


class DeadLetters:
    """Keeps dead letters; a sender who goes on and on pushes out nobody else's."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lately = Windows([(A_MINUTE, 60.0)])

    def room(self, sender: str) -> int:
        """How many more of this sender are kept now."""
        return self._lately.left(sender)

    async def keep(self, sender: str, letters: Sequence[DeadLetter]) -> None:
        """Return once they are durable; raises ``LogUnavailable``."""
        if letters:
            self._lately.add(sender, len(letters))
        for start in range(0, len(letters), _AT_ONCE):
            await self._service.refuse(letters[start : start + _AT_ONCE])
