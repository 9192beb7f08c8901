"""Tiny random models of the segmenter classes of transformers, and their processors."""

import pytest

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}


def tokenizer():
    letters = [*map(chr, range(97, 123)), *"0123456789.,-'"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])


def text_config(of):
    ids = {name: getattr(of, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {**SMALL, **ids, "vocab_size": len(of)}


def tiny_clipseg():
    words = tokenizer()
    config = transformers.CLIPSegConfig(
        text_config=text_config(words),
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=16,
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        extract_layers=[0, 1, 2],
    )
    images = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return transformers.CLIPSegForImageSegmentation(config), transformers.CLIPSegProcessor(images, words)


def tiny_sam():
    prompts = {"hidden_size": 8, "image_size": 32, "patch_size": 8, "mask_input_channels": 4}
    config = transformers.SamConfig(
        vision_config={
            **{"hidden_size": 16, "output_channels": 8, "num_hidden_layers": 2, "num_attention_heads": 2},
            **{"image_size": 32, "patch_size": 8, "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 16},
            "num_pos_feats": 4,
        },
        prompt_encoder_config=prompts,
        mask_decoder_config={"hidden_size": 8, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 8},
    )
    images = transformers.SamImageProcessor(
        size={"longest_edge": 32},
        pad_size={"height": 32, "width": 32},
        mask_size={"longest_edge": 8},
        mask_pad_size={"height": 8, "width": 8},
    )
    return transformers.SamModel(config), transformers.SamProcessor(images)


def tiny_sam2():
    backbone = {
        **{"model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1, "image_size": [64, 64]},
        **{"blocks_per_stage": [1, 1, 2, 1], "global_attention_blocks": [3], "window_size_per_stage": [4, 2, 4, 2]},
        **{"embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 2]},
        "window_positional_embedding_background_size": [2, 2],
    }
    config = transformers.Sam2Config(
        vision_config={
            **{"backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 8},
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        prompt_encoder_config={"hidden_size": 8, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={
            **{"hidden_size": 8, "mlp_dim": 16, "num_attention_heads": 1, "attention_downsample_rate": 1},
            "iou_head_hidden_dim": 8,
        },
    )
    images = transformers.Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    return transformers.Sam2Model(config), transformers.Sam2Processor(images)


def tiny_sam3():
    words = tokenizer()
    part = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    backbone = {
        **{**SMALL, "model_type": "sam3_vit_model", "hidden_size": 32, "num_hidden_layers": 2},
        **{"image_size": 56, "pretrain_image_size": 56, "patch_size": 14, "window_size": 2},
        "global_attn_indexes": [1],
    }
    config = transformers.Sam3Config(
        vision_config={
            **{"backbone_config": backbone, "fpn_hidden_size": 32},
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={**text_config(words), "max_position_embeddings": 32, "projection_dim": 32},
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 4},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2, "num_upsampling_stages": 3},
    )
    images = transformers.Sam3ImageProcessor(size={"height": 56, "width": 56}, mask_size={"height": 16, "width": 16})
    return transformers.Sam3Model(config), transformers.Sam3Processor(images, words)


TINY = {"clipseg": tiny_clipseg, "sam": tiny_sam, "sam2": tiny_sam2, "sam3": tiny_sam3}
