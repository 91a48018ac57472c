"""What a site has set that belongs to no patient, by its key, and where in the log it was set."""

from collections.abc import Iterable

from twins.records import Setting

__all__ = ["Settings"]


class Settings:
    """The newest setting of each key; ``changes`` go back as far as a replay may begin."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, Setting]] = []
        self.by_key: dict[tuple[str, ...], Setting] = {}
        self.version = 0
        """Grows with every change."""

    def set(self, offset: int, setting: Setting) -> None:
        """Apply a setting from the record at ``offset`` on."""
        self.changes.append((offset, setting))
        self.version += 1
        if setting.removes:
            self.by_key.pop(setting.key, None)
        else:
            self.by_key[setting.key] = setting

    def restore(self, changes: Iterable[tuple[int, Setting]], committed: int) -> None:
        """Apply the changes up to ``committed``: later ones come again with the log."""
        for offset, setting in changes:
            if offset <= committed:
                self.set(offset, setting)

    def forget_before(self, committed: int) -> None:
        """Forget changes that were replaced at ``committed`` or earlier: no replay begins before that."""
        newest = {setting.key: offset for offset, setting in self.changes if offset <= committed}
        self.changes = [(at, setting) for at, setting in self.changes if at >= newest.get(setting.key, -1)]

    def present(self) -> list[Setting]:
        """What is in force, by key."""
        return [self.by_key[key] for key in sorted(self.by_key)]
