"""Deterministic random CLIP weights (and any other test tensor), numpy only.

Every tensor is a pure function of (seed, name, shape, std, mean).  The numbers
are bit-for-bit reproducible on every platform and numpy >= 1.17, because only

* the raw 64-bit output of the PCG64 bit generator (whose stream numpy
  guarantees never to change), seeded through ``SeedSequence``, and
* integer arithmetic followed by one float64 multiply, one float64 add and one
  float64 -> float32 rounding

are used.  No ``Generator.standard_normal`` (its stream may change between numpy
versions) and no transcendental function (libm dependent).

Distribution: each 64-bit word is cut into four 16-bit integers whose sum is
centred and scaled to unit variance (Irwin-Hall with n = 4).  It is close to a
standard normal, bounded by +-3.47 standard deviations.

    value = float32(mean + std * ((a+b+c+d) - 131070) * UNIT)
    UNIT  = 1 / sqrt(4 * (65536**2 - 1) / 12)  (written below as a constant)

Usage
-----
>>> sd = clip_state_dict(0, CONFIGS["vit_a"])        # dict name -> ndarray
>>> img = tensor(0, "image.main", (4, 3, 80, 80))    # float32, unit variance
>>> digest(sd)                                       # sha256 hex, recorded in case.json

Run as a script to print the digest of every (config, seed) pair in use.
"""
import hashlib
import math

import numpy as np

# 1 / sqrt(4 * (2**32 - 1) / 12), correctly rounded to float64.
UNIT = float.fromhex("0x1.bb67ae86627e8p-16")

# All configurations keep text width 512 / vision width 768 for the ViTs because
# some reference methods fix those two widths.  heads = width // 64 everywhere.
CONFIGS = {
    # main public ViT: 5 x 5 = 25 patches
    "vit_a": dict(kind="vit", image_size=80, patch_size=16, vision_width=768, vision_layers=4,
                  text_width=512, text_layers=4, embed_dim=512, context_length=77, vocab_size=49408,
                  logit_scale=4.6052),
    # second ViT (used by the further cases): 3 x 3 = 9 patches, other depths
    "vit_b": dict(kind="vit", image_size=96, patch_size=32, vision_width=768, vision_layers=5,
                  text_width=512, text_layers=5, embed_dim=512, context_length=77, vocab_size=49408,
                  logit_scale=4.6052),
    # tiny "modified ResNet" with attention pooling: 64 px -> 2 x 2 grid
    "rn_a": dict(kind="resnet", image_size=64, vision_width=16, vision_layers=(1, 2, 1, 1),
                 text_width=512, text_layers=3, embed_dim=512, context_length=77, vocab_size=49408,
                 logit_scale=4.6052),
    # "large" teachers of PromptKD: other widths, patch and scale than the students; embed_dim 768 is fixed by the method
    # (80 px like vit_a: 4 x 4 = 16 patches)
    "vit_l": dict(kind="vit", image_size=80, patch_size=20, vision_width=1024, vision_layers=3,
                  text_width=768, text_layers=3, embed_dim=768, context_length=77, vocab_size=49408,
                  logit_scale=4.2),
    # (96 px like vit_b: 4 x 4 = 16 patches; further)
    "vit_m": dict(kind="vit", image_size=96, patch_size=24, vision_width=640, vision_layers=2,
                  text_width=640, text_layers=4, embed_dim=768, context_length=77, vocab_size=49408,
                  logit_scale=4.0),
    # deep text tower, shallow image tower (TCP's block 8 exists): 3 x 3 = 9 patches
    "vit_t": dict(kind="vit", image_size=48, patch_size=16, vision_width=768, vision_layers=1,
                  text_width=512, text_layers=10, embed_dim=512, context_length=77, vocab_size=49408,
                  logit_scale=4.6052),
}


def _bits(seed, name):
    """PCG64 bit generator for (seed, name)."""
    h = hashlib.sha256(name.encode("utf-8")).digest()
    words = [int.from_bytes(h[i:i + 4], "little") for i in range(0, 16, 4)]
    return np.random.PCG64(np.random.SeedSequence([int(seed)] + words))


def tensor(seed, name, shape, std=1.0, mean=0.0):
    """float32 array, approximately N(mean, std**2); depends on nothing but the arguments."""
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    raw = _bits(seed, name).random_raw(n)
    m = np.uint64(0xFFFF)
    s = (raw & m) + ((raw >> np.uint64(16)) & m) + ((raw >> np.uint64(32)) & m) + (raw >> np.uint64(48))
    x = s.astype(np.int64).astype(np.float64) - 131070.0
    x = x * (float(std) * UNIT) + float(mean)
    return x.astype(np.float32).reshape(shape)


def integers(seed, name, shape, high):
    """int64 array of values in [0, high) (raw word modulo high)."""
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    raw = _bits(seed, name).random_raw(n)
    return (raw % np.uint64(high)).astype(np.int64).reshape(shape)


def _rs(x):
    """1 / sqrt(x) with two correctly rounded IEEE operations (``x ** -0.5`` goes through libm's pow)."""
    return 1.0 / math.sqrt(x)


def _transformer(spec, prefix, width, layers):
    attn = _rs(width)
    proj = _rs(width) * _rs(2 * layers)
    fc = _rs(2 * width)
    for i in range(layers):
        p = "%sresblocks.%d." % (prefix, i)
        spec[p + "attn.in_proj_weight"] = ((3 * width, width), attn, 0.0)
        spec[p + "attn.in_proj_bias"] = ((3 * width,), 0.02, 0.0)
        spec[p + "attn.out_proj.weight"] = ((width, width), proj, 0.0)
        spec[p + "attn.out_proj.bias"] = ((width,), 0.02, 0.0)
        spec[p + "ln_1.weight"] = ((width,), 0.1, 1.0)
        spec[p + "ln_1.bias"] = ((width,), 0.05, 0.0)
        spec[p + "mlp.c_fc.weight"] = ((4 * width, width), fc, 0.0)
        spec[p + "mlp.c_fc.bias"] = ((4 * width,), 0.02, 0.0)
        spec[p + "mlp.c_proj.weight"] = ((width, 4 * width), proj, 0.0)
        spec[p + "mlp.c_proj.bias"] = ((width,), 0.02, 0.0)
        spec[p + "ln_2.weight"] = ((width,), 0.1, 1.0)
        spec[p + "ln_2.bias"] = ((width,), 0.05, 0.0)


def _bn(spec, p, c):
    spec[p + ".weight"] = ((c,), 0.1, 1.0)
    spec[p + ".bias"] = ((c,), 0.05, 0.0)
    spec[p + ".running_mean"] = ((c,), 0.05, 0.0)
    spec[p + ".running_var"] = ((c,), 0.05, 1.0)
    spec[p + ".num_batches_tracked"] = None


def _conv(spec, p, o, i, k):
    spec[p + ".weight"] = ((o, i, k, k), math.sqrt(2.0 / (i * k * k)), 0.0)


def layout(cfg):
    """dict: state-dict name -> (shape, std, mean), or None for the integer counters."""
    spec = {}
    tw, vw, ed = cfg["text_width"], cfg["vision_width"], cfg["embed_dim"]
    spec["positional_embedding"] = ((cfg["context_length"], tw), 0.01, 0.0)
    spec["text_projection"] = ((tw, ed), _rs(tw), 0.0)
    spec["logit_scale"] = ((), 0.0, cfg["logit_scale"])
    if cfg["kind"] == "vit":
        ps = cfg["patch_size"]
        g = cfg["image_size"] // ps
        spec["visual.class_embedding"] = ((vw,), _rs(vw), 0.0)
        spec["visual.positional_embedding"] = ((g * g + 1, vw), _rs(vw), 0.0)
        spec["visual.proj"] = ((vw, ed), _rs(vw), 0.0)
        spec["visual.conv1.weight"] = ((vw, 3, ps, ps), _rs(3 * ps * ps), 0.0)
        for n in ("ln_pre", "ln_post"):
            spec["visual.%s.weight" % n] = ((vw,), 0.1, 1.0)
            spec["visual.%s.bias" % n] = ((vw,), 0.05, 0.0)
        _transformer(spec, "visual.transformer.", vw, cfg["vision_layers"])
    else:
        w = vw
        _conv(spec, "visual.conv1", w // 2, 3, 3); _bn(spec, "visual.bn1", w // 2)
        _conv(spec, "visual.conv2", w // 2, w // 2, 3); _bn(spec, "visual.bn2", w // 2)
        _conv(spec, "visual.conv3", w, w // 2, 3); _bn(spec, "visual.bn3", w)
        inp = w
        for li, blocks in enumerate(cfg["vision_layers"], start=1):
            planes = w * 2 ** (li - 1)
            for b in range(blocks):
                p = "visual.layer%d.%d." % (li, b)
                _conv(spec, p + "conv1", planes, inp, 1); _bn(spec, p + "bn1", planes)
                _conv(spec, p + "conv2", planes, planes, 3); _bn(spec, p + "bn2", planes)
                _conv(spec, p + "conv3", planes * 4, planes, 1); _bn(spec, p + "bn3", planes * 4)
                if b == 0:  # stride 2 (layers 2-4) or a channel change (layer 1)
                    _conv(spec, p + "downsample.0", planes * 4, inp, 1)
                    _bn(spec, p + "downsample.1", planes * 4)
                inp = planes * 4
        d = w * 32
        g = cfg["image_size"] // 32
        spec["visual.attnpool.positional_embedding"] = ((g * g + 1, d), _rs(d), 0.0)
        for n, o in (("k_proj", d), ("q_proj", d), ("v_proj", d), ("c_proj", ed)):
            spec["visual.attnpool.%s.weight" % n] = ((o, d), _rs(d), 0.0)
            spec["visual.attnpool.%s.bias" % n] = ((o,), 0.02, 0.0)
    _transformer(spec, "transformer.", tw, cfg["text_layers"])
    spec["token_embedding.weight"] = ((cfg["vocab_size"], tw), 0.02, 0.0)
    spec["ln_final.weight"] = ((tw,), 0.1, 1.0)
    spec["ln_final.bias"] = ((tw,), 0.05, 0.0)
    return spec


def clip_state_dict(seed, cfg):
    """dict name -> ndarray (float32; batch-norm counters are int64 zeros)."""
    out = {}
    for name, s in layout(cfg).items():
        out[name] = np.zeros((), np.int64) if s is None else tensor(seed, name, s[0], s[1], s[2])
    return out


def digest(state):
    """sha256 over name, dtype, shape and little-endian bytes, names in sorted order."""
    h = hashlib.sha256()
    for name in sorted(state):
        a = np.ascontiguousarray(state[name])
        a = a.astype(a.dtype.newbyteorder("<"))
        h.update(("%s|%s|%s;" % (name, a.dtype.name, ",".join(map(str, a.shape)))).encode())
        h.update(a.tobytes())
    return h.hexdigest()


if __name__ == "__main__":
    for cfg_name, s in (("vit_a", 0), ("rn_a", 0), ("vit_b", 17), ("vit_a", 7), ("vit_a", 23), ("rn_a", 29),
                        ("vit_l", 3), ("vit_m", 19), ("vit_t", 0), ("vit_t", 31)):
        print(cfg_name, s, digest(clip_state_dict(s, CONFIGS[cfg_name])))
