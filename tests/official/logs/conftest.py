"""Logs in the format of the research code."""

import pytest

HEAD = """***************
** Arguments **
***************
backbone:{space}
config_file: configs/trainers/{trainer}/vit_b16.yaml
eval_only: {eval_only}
model_dir: {model_dir}
seed: {seed}
trainer: {trainer}
************
** Config **
************
DATALOADER:
  K_TRANSFORMS: 1
DATASET:
  NAME: {title}
  NUM_SHOTS: {shots}
  SUBSAMPLE_CLASSES: {classes}
INPUT:
  PIXEL_MEAN: [0.48145466, 0.4578275, 0.40821073]
  TRANSFORMS: ('random_resized_crop', 'random_flip', 'normalize')
MODEL:
  BACKBONE:
    NAME: ViT-B/16
OPTIM:
  MAX_EPOCH: 2
SEED: {seed}
TRAINER:
  NAME: {trainer}
Collecting env info ...
** System info **
PyTorch version: 1.12.1
Loading trainer: {trainer}
"""
EPOCHS = """\
epoch [1/2] batch [5/10] time 0.1 (0.1) loss 2.8123 (2.9001) acc 25.0 (21.2) lr 1.0000e-05 eta 0:00:09
epoch [1/2] batch [10/10] time 0.1 (0.1) loss 1.8123 (1.9001) acc 75.0 (71.2) lr 2.0000e-03 eta 0:00:05
epoch [2/2] batch [10/10] time 0.1 (0.1) loss 0.8123 (0.9001) acc 75.0 (71.2) lr 1.8090e-03 eta 0:00:00
"""
VALIDATION = """Evaluate on the *val* set
=> result
* total: 100
* correct: 51
* accuracy: 51.0%
* error: 49.0%
* macro_f1: 50.0%
"""
TEST = """Evaluate on the *test* set
=> result
* total: 2,465
* correct: {correct:,}
* accuracy: {accuracy}%
* error: 8.0%
* macro_f1: 88.9%
Elapsed: 0:03:21
"""


@pytest.fixture(scope="session")
def log():
    """A function that makes a log's text: of training (with its validation results) or of an evaluation."""

    def make(accuracy="92.0", *, trained=True, end="Finish training", head=False, correct=2268, **fields):
        text = HEAD if head else ""
        known = {"trainer": "CoOp", "title": "Caltech101", "classes": "all", "shots": 16, "seed": 1, "model_dir": ""}
        text = text.format(**{**known, "eval_only": not trained, "space": " ", **fields})
        text += EPOCHS + VALIDATION if trained else ""
        text += f"Checkpoint saved to x\n{end}\n" if trained and end else ""
        return text + (TEST.format(accuracy=accuracy, correct=correct) if end else "")

    return make


@pytest.fixture
def tree(tmp_path):
    """A function that writes logs, text by path below a folder, and returns the folder."""

    def write_all(logs):
        root = tmp_path / "output"
        for path, text in logs.items():
            path = root / path
            path = path if path.name.startswith("log.txt") else path / "log.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write_all
