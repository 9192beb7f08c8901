"""A frozen linear layer is F.linear, forward and backward, by either route."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from cliptune.backbones import frozen_linear, remembered
from cliptune.backbones.frozen_linear import FrozenLinear, available, faster, measured
from tiny_clips import learned, normal

WEIGHT, BIAS = normal(24, 16, seed=1), normal(24, seed=2)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("shape", [(16,), (1, 16), (5, 16), (2, 7, 16), (3, 1, 4, 16), (900, 16)])
@pytest.mark.parametrize("bias", [BIAS, None])
@pytest.mark.parametrize("scale", [1.0, 1.702])
def test_is_f_linear(fast, shape, bias, scale):
    layer, x = FrozenLinear(WEIGHT, bias, fast, scale), learned(*shape)
    wanted = F.linear(x, scale * WEIGHT, None if bias is None else scale * bias)
    got = layer(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    g = normal(*wanted.shape, seed=5)
    (ours,), (reference,) = torch.autograd.grad(got, x, g), torch.autograd.grad(wanted, x, g)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("act", [F.silu, F.gelu, torch.tanh])
@pytest.mark.parametrize("fast", [True, False])
def test_then_an_activation(act, fast):
    layer, x = FrozenLinear(WEIGHT, BIAS, fast, act=act), learned(5, 16)
    wanted = act(F.linear(x, WEIGHT, BIAS))
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer(x.detach()), wanted, rtol=0, atol=1e-5)
    (ours,), (reference,) = torch.autograd.grad(layer(x).sum(), x), torch.autograd.grad(wanted.sum(), x)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)


def test_gradient_in_another_memory_order():
    x = learned(6, 16)
    layer = FrozenLinear(WEIGHT, BIAS, True)
    (got,) = torch.autograd.grad(layer(x), x, normal(24, 6).t())
    torch.testing.assert_close(got, normal(24, 6).t() @ WEIGHT, rtol=0, atol=1e-5)


def test_strided_input_and_sliced_weight():
    rows, x = slice(8, 16), normal(4, 3, 16).transpose(0, 1)
    layer = FrozenLinear(WEIGHT[rows], BIAS[rows], True)
    torch.testing.assert_close(layer(x), F.linear(x, WEIGHT[rows], BIAS[rows]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_weights_take_no_gradient_and_are_read_in_place(fast):
    weight = WEIGHT.clone().requires_grad_()
    layer = FrozenLinear(weight, BIAS, fast)
    assert not layer.weight.requires_grad and layer.weight.data_ptr() == weight.data_ptr()
    layer(learned(2, 16)).sum().backward()
    assert weight.grad is None
    assert not layer(normal(2, 16)).requires_grad


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_can_be_copied_and_pickled_after_use(clone):
    layer, x = FrozenLinear(WEIGHT, BIAS, True), learned(2, 16)
    layer(x).sum().backward()
    assert torch.equal(clone(layer)(x), layer(x))


def test_other_precisions_take_the_plain_route():
    layer = FrozenLinear(WEIGHT, BIAS, True, scale=2.0)
    x = learned(3, 16)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        y.float().sum().backward()
    assert y.dtype == torch.bfloat16 and x.grad is not None
    torch.testing.assert_close(y.float(), F.linear(x, 2 * WEIGHT, 2 * BIAS), rtol=2e-2, atol=0.2)
    double = FrozenLinear(WEIGHT.double(), BIAS.double(), True)
    assert not double.fast and double(x.double()).dtype == torch.float64


def test_the_switch_decides(monkeypatch):
    for choice, answer in (("on", available(WEIGHT)), ("off", False)):
        monkeypatch.setenv(frozen_linear.SWITCH, choice)
        assert faster(WEIGHT) is answer


@pytest.fixture
def auto(monkeypatch, tmp_path):
    """A user's cache folder with nothing in it, where the machine is to measure."""
    monkeypatch.setenv(frozen_linear.SWITCH, "auto")
    monkeypatch.setenv("CLIPTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.skipif(not available(WEIGHT), reason="this build has no oneDNN linears")
def test_what_was_measured_is_remembered_by_shape(auto, monkeypatch):
    asked = []
    monkeypatch.setattr(frozen_linear, "measured", lambda weight, _: asked.append(weight.shape) or len(asked) == 1)
    assert [faster(w) for w in (WEIGHT, WEIGHT, WEIGHT.T, WEIGHT)] == [True, True, False, True]
    assert asked == [WEIGHT.shape, WEIGHT.T.shape]
    (auto / remembered.NAME).write_text("{ torn")
    assert faster(WEIGHT) is False and len(asked) == 3


@pytest.mark.skipif(not available(WEIGHT), reason="this build has no oneDNN linears")
def test_without_a_place_to_remember_it_is_measured_anew(auto, monkeypatch):
    auto.write_text("a file in the way")
    monkeypatch.setattr(frozen_linear, "measured", lambda *_: True)
    assert faster(WEIGHT) is True and auto.read_text() == "a file in the way"


def test_measuring_gives_an_answer():
    assert measured(WEIGHT, tokens=4) in (True, False)


def test_without_onednn_everything_still_works(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not available(WEIGHT) and not faster(WEIGHT)
    layer, x = FrozenLinear(WEIGHT, BIAS, True), normal(2, 16)
    assert not layer.fast
    assert torch.equal(layer(x), F.linear(x, WEIGHT, BIAS))
