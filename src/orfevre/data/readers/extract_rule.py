"""The weights by which a line of a page counts as main text: their sum over the line's features is above 0.

A logistic regression, fitted by `python -m benchmarks.curation_extraction_fit` on half of the annotated pages that
benchmarks/curation_extraction.py scores; the other half was kept for the claim. Change features, and fit again.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.data.readers.extract_blocks import NAMES

WEIGHTS = {
    "one": 0.122,
    "log_length": -0.344,
    "log_length_squared": 0.082,
    "link_share": -2.361,
    "all_link": 1.309,
    "heading": -0.162,
    "h1": -1.062,
    "paragraph": 0.613,
    "item": 0.426,
    "loose": -0.798,
    "verbatim": 3.889,
    "ends_sentence": 0.393,
    "ends_colon": -0.174,
    "sentences": -0.053,
    "glue_share": -0.033,
    "around": -2.499,
    "around_short": -0.111,
    "date": -0.638,
    "digit_share": -0.648,
    "capital_share": -1.826,
    "repeated": -0.154,
    "short": -0.008,
    "strong": 0.543,
    "before_text": -0.135,
    "after_text": -0.867,
    "distance": 0.155,
    "log_length-1": 0.133,
    "link_share-1": -1.089,
    "heading-1": -0.449,
    "item-1": 0.554,
    "glue_share-1": -0.348,
    "around-1": -0.398,
    "short-1": 0.099,
    "strong-1": -0.026,
    "log_length+1": 0.087,
    "link_share+1": -0.329,
    "heading+1": -0.351,
    "item+1": 0.844,
    "glue_share+1": -0.171,
    "around+1": -0.383,
    "short+1": -0.096,
    "strong+1": 0.01,
    "log_length-2": 0.17,
    "link_share-2": -0.041,
    "heading-2": -0.04,
    "item-2": 0.503,
    "glue_share-2": -1.479,
    "around-2": -0.481,
    "short-2": -0.282,
    "strong-2": -0.158,
    "log_length+2": 0.225,
    "link_share+2": -0.678,
    "heading+2": -0.227,
    "item+2": -0.531,
    "glue_share+2": -0.277,
    "around+2": 0.04,
    "short+2": 0.148,
    "strong+2": -0.51,
    "heading*strong+1": -0.122,
    "heading*log_length+1": 0.084,
    "heading*after_text": -2.304,
    "before_text*short": -0.542,
    "after_text*short": -0.111,
    "before_text*log_length": -0.109,
    "after_text*log_length": 0.028,
    "after_text*link_share": 1.102,
    "item*link_share": -1.77,
    "item*item-1": -1.344,
    "item*log_length": 0.06,
    "around*log_length": 0.416,
    "after_text*around": -0.123,
}
"""By feature; extract_blocks.NAMES says what each is."""


@cache
def weights() -> NDArray[np.float64]:
    """[len(NAMES)], in the order of the features."""
    return np.array([WEIGHTS[name] for name in NAMES])
