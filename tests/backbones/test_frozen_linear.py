"""A frozen linear layer is F.linear, forward and backward, by either backend."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cliptune.backbones.frozen_linear import FrozenLinear, cpu_computes_in, onednn_dtypes
from tiny_clips import learned, normal

WEIGHT, BIAS = normal(24, 16, seed=1), normal(24, seed=2)
ONEDNN, BF16 = frozenset([torch.float32]), frozenset([torch.bfloat16])
BOTH = pytest.mark.parametrize("onednn", [ONEDNN, frozenset()], ids=["onednn", "torch"])
needs_onednn = pytest.mark.skipif(not onednn_dtypes("onednn"), reason="this build has no oneDNN linear layers")


@needs_onednn
@BOTH
@pytest.mark.parametrize("shape", [(16,), (1, 16), (5, 16), (2, 7, 16), (3, 1, 4, 16), (900, 16)])
@pytest.mark.parametrize("bias", [BIAS, None])
@pytest.mark.parametrize("scale", [1.0, 1.702])
def test_frozen_linear_equals_f_linear(onednn, shape, bias, scale):
    layer, x = FrozenLinear(WEIGHT, bias, onednn, scale), learned(*shape)
    expected = F.linear(x, scale * WEIGHT, None if bias is None else scale * bias)
    got = layer(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    g = normal(*expected.shape, seed=5)
    (ours,), (reference,) = torch.autograd.grad(got, x, g), torch.autograd.grad(expected, x, g)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)


@needs_onednn
@BOTH
@pytest.mark.parametrize("act", [F.silu, F.gelu, torch.tanh])
def test_activation(act, onednn):
    layer, x = FrozenLinear(WEIGHT, BIAS, onednn, act=act), learned(5, 16)
    expected = act(F.linear(x, WEIGHT, BIAS))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer(x.detach()), expected, rtol=0, atol=1e-5)
    (ours,), (reference,) = torch.autograd.grad(layer(x).sum(), x), torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)


@needs_onednn
def test_gradient_in_another_memory_order():
    x = learned(6, 16)
    layer = FrozenLinear(WEIGHT, BIAS, ONEDNN)
    (got,) = torch.autograd.grad(layer(x), x, normal(24, 6).t())
    torch.testing.assert_close(got, normal(24, 6).t() @ WEIGHT, rtol=0, atol=1e-5)


@needs_onednn
def test_strided_input_and_sliced_weight():
    rows, x = slice(8, 16), normal(4, 3, 16).transpose(0, 1)
    layer = FrozenLinear(WEIGHT[rows], BIAS[rows], ONEDNN)
    torch.testing.assert_close(layer(x), F.linear(x, WEIGHT[rows], BIAS[rows]), rtol=0, atol=1e-5)


@needs_onednn
@BOTH
def test_weights_receive_no_gradient_and_are_read_in_place(onednn):
    weight = WEIGHT.clone().requires_grad_()
    layer = FrozenLinear(weight, BIAS, onednn)
    assert not layer.weight.requires_grad and layer.weight.data_ptr() == weight.data_ptr()
    layer(learned(2, 16)).sum().backward()
    assert weight.grad is None
    assert not layer(normal(2, 16)).requires_grad


@needs_onednn
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_can_be_copied_and_pickled_after_use(clone):
    layer, x = FrozenLinear(WEIGHT, BIAS, ONEDNN), learned(2, 16)
    layer(x).sum().backward()
    assert torch.equal(clone(layer)(x), layer(x))


@needs_onednn
@pytest.mark.parametrize("onednn", [ONEDNN, BF16, ONEDNN | BF16, frozenset()])
@pytest.mark.parametrize("act", [None, F.silu])
def test_bfloat16_autocast_is_f_linear_under_autocast(onednn, act):
    if torch.bfloat16 in onednn and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no bfloat16 instructions")
    layer, x = FrozenLinear(WEIGHT, BIAS, onednn, 2.0, act), learned(3, 16)
    g = normal(3, 24, seed=5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got, expected = layer(x), F.linear(x, 2 * WEIGHT, 2 * BIAS)
        expected = expected if act is None else act(expected)
        with torch.no_grad():
            without_graph = layer(x)
    assert got.dtype == torch.bfloat16 and torch.equal(got, expected) and torch.equal(without_graph, expected)
    (ours,), (reference,) = torch.autograd.grad(got, x, g), torch.autograd.grad(expected, x, g)
    torch.testing.assert_close(ours, reference, rtol=2e-2, atol=2e-2)


def test_other_types_use_f_linear():
    double = FrozenLinear(WEIGHT.double(), BIAS.double(), ONEDNN)
    assert not double.onednn and double(normal(3, 16).double()).dtype == torch.float64


@pytest.fixture
def processor(monkeypatch):
    """A function that simulates another processor (its /proc/cpuinfo) and PyTorch with or without MKL."""

    def pretend(cpuinfo: str, mkl: bool = True):
        monkeypatch.setattr(Path, "is_file", lambda self: str(self) == "/proc/cpuinfo")
        monkeypatch.setattr(Path, "read_text", lambda self, **_: cpuinfo)
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)

    return pretend


@needs_onednn
@pytest.mark.parametrize(
    "cpuinfo, mkl, dtypes",
    [
        ("vendor_id : GenuineIntel\nflags : fpu avx512f", True, set()),
        ("vendor_id : GenuineIntel\nflags : fpu amx_bf16 amx_tile", True, {torch.bfloat16}),
        ("vendor_id : AuthenticAMD\nflags : fpu avx512f", True, {torch.float32}),
        ("vendor_id : AuthenticAMD\nflags : fpu amx_bf16", True, {torch.float32, torch.bfloat16}),
        ("CPU implementer : 0x41\nFeatures : fp asimd", False, set()),
    ],
)
def test_the_rule(processor, cpuinfo, mkl, dtypes):
    processor(cpuinfo, mkl)
    assert onednn_dtypes("auto") == dtypes
    assert onednn_dtypes("onednn") == dtypes | {torch.float32}
    assert onednn_dtypes("torch") == frozenset()


@pytest.mark.parametrize("supported", [True, False])
def test_whether_the_processor_has_instructions(supported, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    assert cpu_computes_in(torch.bfloat16) == supported
    assert cpu_computes_in(torch.float32) and cpu_computes_in(torch.float64)


def test_without_onednn_everything_still_works(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert onednn_dtypes("onednn") == onednn_dtypes("auto") == frozenset()
