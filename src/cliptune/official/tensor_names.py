"""Names in the state dicts of the authors' repositories -> the tensors of a learner.

A new kind of learner needs one entry: a function with `@official.register`.
"""

from __future__ import annotations

from functools import singledispatch

from torch import Tensor, nn

from cliptune.adapters.bottleneck import AdaptedPrompts
from cliptune.adapters.channel_adjusted import WithHead
from cliptune.adapters.layer_norms import LayerNorms, NormsAndClassifier
from cliptune.adapters.low_rank import LowRankTerms
from cliptune.adapters.projector import ProjectedStudent
from cliptune.adapters.residual import TaskResidual
from cliptune.adapters.surgery import SurgeryLearner
from cliptune.errors import UserError
from cliptune.prompts.attributes import AttributeContext
from cliptune.prompts.class_aware import ClassAwareContext
from cliptune.prompts.conditional import ConditionalContext
from cliptune.prompts.context import TextContext
from cliptune.prompts.coupled import CoupledPrompts
from cliptune.prompts.deep import DeepPrompts
from cliptune.prompts.hierarchical import HierarchicalPrompts, Mapper, Pooling
from cliptune.prompts.length_search import FixedLengthPrompts, SearchedPrompts
from cliptune.prompts.no_prompts import NoPrompts
from cliptune.prompts.representation_tokens import LowRankProjection, RepresentationTokens, SharedLinear

#: Linear layers -> their modules in the code of CLIP-LoRA, which has no terms in the MLP.
LORA_MODULES = {"q": "attn.q_proj", "k": "attn.k_proj", "v": "attn.v_proj", "o": "attn.proj"}
LORA_MODULES |= {"fc": "mlp.c_fc", "proj": "mlp.c_proj"}
#: PromptKD's projector, whose linear layers are 1x1 convolutions in the released code.
PROJECTOR = "VPT_image_trans.conv1"


@singledispatch
def official_names(learner: nn.Module) -> dict[str, Tensor]:
    """Official name -> parameter, for every parameter of `learner`."""
    raise UserError(f"no official names are known for a learner of type {type(learner).__name__}")


@official_names.register
def _(learner: NoPrompts) -> dict[str, Tensor]:
    return {}


@official_names.register
def _(learner: TaskResidual) -> dict[str, Tensor]:
    return {"prompt_learner.text_feature_residuals": learner.residual}


@official_names.register
def _(learner: TextContext) -> dict[str, Tensor]:
    return {"prompt_learner.ctx": learner.text}


@official_names.register(ConditionalContext)
@official_names.register(ClassAwareContext)
def _(learner: ConditionalContext | ClassAwareContext) -> dict[str, Tensor]:
    found = {"ctx": learner.text}
    for name, linear in {"linear1": learner.inner, "linear2": learner.outer}.items():
        found |= {f"meta_net.{name}.weight": linear.weight, f"meta_net.{name}.bias": linear.bias}
    return {f"prompt_learner.{name}": parameter for name, parameter in found.items()}


@official_names.register
def _(learner: CoupledPrompts) -> dict[str, Tensor]:
    found = {f"compound_prompts_text.{i - 1}" if i else "ctx": tokens for i, tokens in enumerate(learner.text)}
    for i, linear in enumerate(learner.to_image):
        name = f"compound_prompt_projections.{i - 1}" if i else "proj"
        found |= {f"{name}.weight": linear.weight, f"{name}.bias": linear.bias}
    return {f"prompt_learner.{name}": parameter for name, parameter in found.items()}


@official_names.register
def _(learner: DeepPrompts) -> dict[str, Tensor]:
    found = {}
    for tower, layers, first in (
        ("text", learner.text, "prompt_learner.ctx"),
        ("image", learner.image, "image_encoder.VPT"),
    ):
        for i, tokens in enumerate(layers):
            found[f"{tower}_encoder.transformer.resblocks.{i}.VPT_shallow" if i else first] = tokens
    return found


@official_names.register
def _(learner: SurgeryLearner) -> dict[str, Tensor]:
    found = official_names(learner.prompts)
    for name, surgery in (("text_adapter", learner.text), ("visual_adapter", learner.image)):
        for official_name, module in (("post_ln", surgery.norm), ("FFN.0", surgery.widen), ("FFN.2", surgery.narrow)):
            found[f"{name}.{official_name}.weight"] = module.weight
            found[f"{name}.{official_name}.bias"] = module.bias
    return found


@official_names.register
def _(learner: AttributeContext) -> dict[str, Tensor]:
    own = {f"prompt_learner.ctx_att{i}": vectors for i, vectors in enumerate(learner.attributes, 1)}
    return official_names(learner.base) | own


@official_names.register
def _(learner: AdaptedPrompts) -> dict[str, Tensor]:
    found = official_names(learner.prompts)
    for name, adapter in (("adapter_image", learner.image), ("adapter_text", learner.text)):
        found |= {f"{name}.fc.0.weight": adapter.down.weight, f"{name}.fc.2.weight": adapter.up.weight}
    return found


@official_names.register
def _(learner: WithHead) -> dict[str, Tensor]:
    found, head = official_names(learner.base), learner.head
    for name, channels in (("film_lp_img", head.image), ("film_lp_text", head.text)):
        found |= {f"{name}.scale": channels.scale, f"{name}.bias": channels.bias}
    return found | {"linear_probe_proj.weight": head.linear.weight, "linear_probe_proj.bias": head.linear.bias}


@official_names.register
def _(learner: SearchedPrompts) -> dict[str, Tensor]:
    found = {"alphas_txt": learner.alphas_text, "alphas_img": learner.alphas_image}
    for tower, layers in (("ctx_txt_lst", learner.text), ("ctx_img_lst", learner.image)):
        found |= {f"{tower}.{i}.{n}": tokens for i, own in enumerate(layers) for n, tokens in enumerate(own)}  # type: ignore[arg-type]
    return {f"prompt_learner.{name}": parameter for name, parameter in found.items()}


@official_names.register
def _(learner: FixedLengthPrompts) -> dict[str, Tensor]:
    towers = {"ctx_txt_lst": learner.text, "ctx_img_lst": learner.image}
    return {f"prompt_learner.{tower}.{i}": tokens for tower, own in towers.items() for i, tokens in own.items()}


@official_names.register
def _(learner: LowRankTerms) -> dict[str, Tensor]:
    found = {}
    for tower, prefix in (("text", ""), ("image", "visual.")):
        for (block, layer), term in learner.terms(tower).items():
            path = f"{prefix}transformer.resblocks.{block}.{LORA_MODULES[layer]}"
            found |= {f"{path}.w_lora_A": term.down, f"{path}.w_lora_B": term.up}
    return found


@official_names.register
def _(learner: ProjectedStudent) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for i, tokens in enumerate(learner.image):
        found[f"image_encoder.transformer.resblocks.{i}.VPT_shallow" if i else "image_encoder.VPT"] = tokens
    projector = learner.projector
    for i, module in {0: projector.inner, 1: projector.norm, 3: projector.outer}.items():
        found |= {f"{PROJECTOR}.{i}.weight": module.weight, f"{PROJECTOR}.{i}.bias": module.bias}
    return found


@official_names.register
def _(learner: RepresentationTokens) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {"compound_rep_tokens": learner.table}
    for tower, linear in (("v", learner.to_image), ("t", learner.to_text)):
        if isinstance(linear, SharedLinear):
            found[f"srra_r2{tower}proj.weight"] = linear.weight
            terms = {"A": linear.left, "B": linear.right, "bias": linear.bias}
            found |= {f"srra_r2{tower}proj.srra.{i}.{n}": t for n, own in terms.items() for i, t in enumerate(own)}
        else:
            found |= {f"compound_rep_tokens_r2{tower}proj.{name}": t for name, t in linear.layers.named_parameters()}
    found = {f"representation_learner.{name}": tensor for name, tensor in found.items()}
    projection = learner.projection
    if isinstance(projection, LowRankProjection):
        return {**found, "image_encoder.A": projection.left, "image_encoder.B": projection.right}
    return {**found, "image_encoder.proj_rep": projection.weight}


@official_names.register
def _(learner: LayerNorms) -> dict[str, Tensor]:
    found = {}
    for tower, prefix in (("text", ""), ("image", "visual.")):
        for block, name, affine in learner.places(tower):
            path = f"{prefix}{name}" if block is None else f"{prefix}transformer.resblocks.{block}.{name}"
            found |= {f"{path}.weight": affine.weight, f"{path}.bias": affine.bias}
    return found


@official_names.register
def _(learner: NormsAndClassifier) -> dict[str, Tensor]:
    return {**official_names(learner.norms), "classifier": learner.weight}


@official_names.register
def _(learner: HierarchicalPrompts) -> dict[str, Tensor]:
    found = {f"cross_prompts_text.{i}" if i else "ctx": tokens for i, tokens in enumerate(learner.text)}
    found |= {f"cross_prompts_visual.{i}": tokens for i, tokens in enumerate(learner.image)}
    if (mapping := learner.mapping) is not None:
        for name, mapper in (("text2visual_net", mapping.to_image), ("visual2text_net", mapping.to_text)):
            found |= _mapper_names(name, mapper)
        text, image = (mapping.text_pools, mapping.text_proxies), (mapping.image_pools, mapping.image_proxies)
        for tower, (pools, proxies) in {"text": text, "visual": image}.items():
            for i, (pool, proxy) in enumerate(zip(pools, proxies, strict=True)):
                found |= _attention_names(f"attn_pooling_{tower}_nets.{i}", pool)  # type: ignore[arg-type]
                found[f"{tower}_proxy_token.{i}"] = proxy
    return {f"prompt_learner.{name}": parameter for name, parameter in found.items()}


def _mapper_names(name: str, mapper: Mapper) -> dict[str, Tensor]:
    linear = {"linear_q": mapper.query, "linear_k": mapper.key, "linear_v": mapper.value}
    linear |= {"ffn.c_fc": mapper.widen, "ffn.c_proj": mapper.narrow}
    found: dict[str, Tensor] = {f"{name}.{part}.weight": module.weight for part, module in linear.items()}
    found |= {f"{name}.{part}.bias": module.bias for part, module in linear.items()}
    return found | _attention_names(name, mapper)


def _attention_names(name: str, module: Pooling | Mapper) -> dict[str, Tensor]:
    """The attention layer and the LayerNorms of a pooling or a mapper."""
    attention = module.attention
    found: dict[str, Tensor] = {"attn.in_proj_weight": attention.in_weight, "attn.in_proj_bias": attention.in_bias}
    for part, own in (("attn.out_proj", attention.out), ("ln_1", module.before), ("ln_2", module.after)):
        found |= {f"{part}.weight": own.weight, f"{part}.bias": own.bias}
    return {f"{name}.{part}": tensor for part, tensor in found.items()}


@singledispatch
def official_buffers(learner: nn.Module) -> dict[str, Tensor]:
    """Official name -> tensor that is saved with the parameters but not trained."""
    return {}


@official_buffers.register
def _(learner: ProjectedStudent) -> dict[str, Tensor]:
    return {f"{PROJECTOR}.1.{name}": tensor for name, tensor in learner.projector.norm.named_buffers()}


@official_buffers.register
def _(learner: SurgeryLearner) -> dict[str, Tensor]:
    return {"text_cali_ratio": learner.text.ratio, "vis_cali_ratio": learner.image.ratio}
