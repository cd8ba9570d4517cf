"""The [curate] section: from raw sources to documents, in the order of the steps."""

from pydantic import Field

from .base import Count, Section
from .dedup import Boilerplate, Dedup
from .language import Classifier, Language
from .quality import Personal, Quality, Repair
from .reading import Reading
from .rights import Extraction, OptOut
from .tasks import Contamination


class Curate(Section):
    reading: Reading = Reading()
    """Limits on records, archives and time."""

    extraction: Extraction = Extraction()
    """From web pages to their main text."""

    optout: OptOut = OptOut()
    """What owners of pages have reserved."""

    repair: Repair = Repair()
    """Mending of texts that were decoded wrongly."""

    quality: Quality = Quality()
    """Rules a document must pass. Every drop is kept with its reason."""

    language: Language = Language()
    """Which language a text is in."""

    classifier: Classifier = Classifier()
    """A score of quality, learnt from two sources."""

    personal: Personal = Personal()
    """Personal data: mask or drop."""

    contamination: Contamination = Contamination()
    """Texts that hold items of evaluation sets."""

    boilerplate: Boilerplate = Boilerplate()
    """Lines that many documents share."""

    dedup: Dedup = Dedup()
    """Exact and MinHash deduplication across all sources."""

    validation_fraction: float = Field(default=0.05, gt=0.0, lt=0.5)
    """Share of documents (by hash of their near-duplicate group) held out for validation."""

    shard_bytes: Count = 16 * 2**20
    """Raw bytes of input in one unit of work; bounds memory."""
