"""RESTORE's forward pass in plain PyTorch."""

import torch
import torch.nn.functional as F

import textbook


def adapted(surgery, x):
    """`r A(x) + (1 - r) x` on raw features, then a unit vector."""
    normed = F.layer_norm(x, x.shape[-1:], surgery.norm.weight, surgery.norm.bias)
    hidden = normed @ surgery.widen.weight.T + surgery.widen.bias
    block = x + (hidden * torch.sigmoid(1.702 * hidden)) @ surgery.narrow.weight.T + surgery.narrow.bias
    return textbook.unit(surgery.ratio * block + (1 - surgery.ratio) * x)


def by_hand(tuned, images):
    """Logits, and of both towers the pooled token after each block, with prompts and without, by hooks."""
    of, learner = tuned.backbone, tuned.learner
    clip, vit = of.model, of.visual
    ids, _ = textbook.prompted(of.prompt_tokenizer, "a photo of a", [n.replace("_", " ") for n in tuned.classnames])
    rows, ends = torch.arange(len(ids)), ids.argmax(-1)
    blocks = {"text": [], "image": []}
    takes = {
        "text": lambda _, given: blocks["text"].append(given[0][rows, ends]),
        "image": lambda _, given: blocks["image"].append(given[0][:, 0] if given[0].ndim == 3 else given[0]),
    }
    # The input of the next block or of the final norm.
    text_places = [*list(clip.transformer.resblocks)[1:], clip.ln_final]
    image_places = [*(block.ln_1 for block in list(vit.transformer.resblocks)[1:]), vit.ln_post]
    hooks = [m.register_forward_pre_hook(takes["text"]) for m in text_places]
    hooks += [m.register_forward_pre_hook(takes["image"]) for m in image_places]
    tokens = list(learner.prompts.text)
    image_tokens = textbook.projected(tokens, list(learner.prompts.to_image))
    text = adapted(learner.text, textbook.text_features(clip, ids, tokens[0], tokens[1:]))
    image = adapted(learner.image, textbook.image_features(clip, images, image_tokens))
    textbook.text_features(clip, ids)
    textbook.image_features(clip, images)
    for hook in hooks:
        hook.remove()
    prompted = {name: each[: len(each) // 2] for name, each in blocks.items()}
    plain = {name: each[len(each) // 2 :] for name, each in blocks.items()}
    return clip.logit_scale.exp() * image @ text.T, prompted, plain
