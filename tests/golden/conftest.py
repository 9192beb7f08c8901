import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """As the recordings were made; at these sizes more threads mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
