"""Tell apart the documents that share a training sequence, for `document_mask`.

Shapes: B sequences, S positions.
"""

import torch

from orfevre.model.transformer import IGNORED


def split_documents(batch_BT: torch.Tensor, bos: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and the document of each input, int64 `[B, S]` each, from a batch `[B, S + 1]`.

    A document begins at `<s>` (`bos`), which no text contains; a sequence may begin inside one. The `<s>` that follows
    a document is not a target.
    """
    segments_BS = (batch_BT[:, :-1] == bos).cumsum(dim=1)
    targets_BS = batch_BT[:, 1:]
    return batch_BT[:, :-1], targets_BS.masked_fill(targets_BS == bos, IGNORED), segments_BS
