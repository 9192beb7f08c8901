import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """One thread, as in the recordings; at these sizes more threads are slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
