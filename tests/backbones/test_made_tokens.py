"""Image tokens made from a layer's inputs, class features and frozen features equal a plain computation."""

import pytest
import torch
import torch.nn.functional as F

from cliptune.errors import UserError
from cliptune.types import ImageContext, MadeTokens, Prompts
from tiny_clips import backbone, learned, normal, random_images, same_gradients


def maker(weight):
    """A function of everything it is given."""

    def make(x, context):
        tokens = (x.mean(1, keepdim=True) + context.classes @ weight) * (1 + context.frozen.sum(-1)[:, None, None])
        return MadeTokens(tokens, tokens.sum(-1))

    return make


def plain(of, images, tokens, make, context):
    """Features, and what is read: every token through every block."""
    vit = of.visual
    patches = vit.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([vit.class_embedding.expand(len(patches), 1, -1), patches], 1) + vit.positional_embedding
    x, fixed, read = vit.ln_pre(x), 1 + patches.shape[1], []
    for i, block in enumerate(vit.transformer.resblocks):
        if i < len(tokens) and tokens[i] is not None:
            x = torch.cat([x[:, :fixed], tokens[i].expand(len(x), -1, -1)], 1)
        count = x.shape[1]
        if i < len(make) and make[i] is not None:
            new = make[i](x[:, :fixed], context)
            read.append(new.read)
            x = torch.cat([x, new.tokens], 1)
        x = block(x)[:, :count]
    return vit.ln_post(x[:, 0]) @ vit.proj, read


#: Layers with learned tokens, and layers with made ones, of four.
LAYERS = {
    "the last": ((), (3,)),
    "the first and the last": ((), (0, 3)),
    "beside replaced tokens": ((0, 1, 2), (1, 2)),
    "beside tokens that pass": ((0,), (1, 3)),
}


@pytest.mark.parametrize("own, made", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("more", [{}, {"tokens": True, "patches": True, "blocks": True}], ids=["features", "all"])
def test_made_tokens(own, made, more):
    of = backbone("deep_image")
    leaves = {i: learned(2, of.image_width, seed=i) for i in own}
    weight = learned(7, of.image_width, seed=9)
    images = random_images(of)
    context = ImageContext(normal(5, 7), normal(3, of.embed_dim, seed=2, std=0.1))
    tokens = tuple(leaves.get(i) for i in range(max(own) + 1)) if own else ()
    make = tuple(maker(weight) if i in made else None for i in range(max(made) + 1))
    prompts = Prompts(image=tokens, image_made=make, image_context=context, input_norm=False)
    assert not prompts.fixed_image
    out = of.encode_image_parts(images, prompts, **more)
    features, read = plain(of, images, tokens, make, context)
    torch.testing.assert_close(out.features, features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(list(out.made), read, rtol=1e-4, atol=1e-4)
    loss, reference = ((F.normalize(x, dim=-1)[:, :5].sum()) / 9 for x in (out.features, features))
    same_gradients(loss, reference, [*leaves.values(), weight])


def test_made_tokens_without_class_features_are_refused():
    of = backbone("deep_image")
    with pytest.raises(UserError, match="class features.*prompts_for"):
        of.encode_image(random_images(of), Prompts(image_made=(maker(normal(7, of.image_width)),)))
