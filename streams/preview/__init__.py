"""What other limits would have done: stored readings run again through the same step."""

from streams.preview.job import Counts, Episode, Job, Part, Preview, TooLarge
from streams.preview.run import preview

__all__ = ["Counts", "Episode", "Job", "Part", "Preview", "TooLarge", "preview"]
