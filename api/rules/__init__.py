"""Reading a site's rules from a file or a request."""

from api.rules.files import Finding, Read, read_rules
from api.rules.zones import UnknownZone, zone_named

__all__ = ["Finding", "Read", "UnknownZone", "read_rules", "zone_named"]
