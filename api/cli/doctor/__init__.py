"""``vitaltwin doctor``."""

from api.cli.doctor.command import doctor

__all__ = ["doctor"]
