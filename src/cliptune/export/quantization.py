"""Weights of an ONNX file in eight bits."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

from cliptune.errors import UserError

#: Operators with weights that are quantised: linear layers, which have nearly all of a transformer's weights.
LINEAR = ("MatMul", "Gemm")
#: Smallest share of the weights that must be in linear layers.
LEAST_SHARE = 0.5


def quantise(path: Path, backbone: str) -> None:
    """Replace the float32 weights of the linear layers in an ONNX file by int8, with a scale per output channel.

    Inputs of these layers are rounded to eight bits when the file runs, by the range of each batch (dynamic
    quantisation). Weights have seven bits of precision, which processors without VNNI need for exact sums.

    Raises `UserError` if less than half of the weights are in linear layers, as in a ResNet.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(path)
    sizes = {tensor.name: _elements(tensor) for tensor in model.graph.initializer}
    linear = {name for node in model.graph.node if node.op_type in LINEAR for name in node.input if name in sizes}
    share = sum(sizes[name] for name in linear) / max(1, sum(sizes.values()))
    if share < LEAST_SHARE:
        raise UserError(
            f"int8 is for linear layers, but {1 - share:.0%} of the weights of {backbone} are in other layers, "
            f"such as convolutions; use half, or leave int8 out"
        )
    prepared = path.with_name(f"{path.name}.prepared")
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            # Computes what does not depend on the image, so that its weights are not kept in float32.
            quant_pre_process(path, prepared, skip_symbolic_shape=True)
            quantize_dynamic(
                prepared,
                path,
                op_types_to_quantize=list(LINEAR),
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
    finally:
        logging.disable(before)
        prepared.unlink(missing_ok=True)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # weights of files above 2 GB


def _elements(tensor) -> int:
    count = 1
    for side in tensor.dims:
        count *= side
    return count
