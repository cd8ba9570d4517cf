"""One thread: these tensors are too small to share out, and other tests run beside."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)
