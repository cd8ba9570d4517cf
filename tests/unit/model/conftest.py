"""One thread: these tensors are too small to share out, and other tests run beside. And the devices to test on."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device there is. Float32 products stay float32 on a GPU, or nothing could be compared within 1e-4."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
        torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(request.param)
