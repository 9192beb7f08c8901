"""Weights & Biases in its offline mode: what the run's own file contains."""

import json
import struct

import pytest

import cliptune as ct

pytest.importorskip("wandb")
BLOCK = 1 << 15
pytestmark = pytest.mark.slow  # it starts a process of its own


def stored_records(content):
    """The records of a file in the format of LevelDB's logs, after a header of seven bytes."""
    at, parts = 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:  # padding at the end of a block
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several parts
            yield parts
            parts = b""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_offline_run(photos, tmp_path, monkeypatch):
    from wandb.proto import wandb_internal_pb2

    for name, value in {"WANDB_MODE": "offline", "WANDB_PROJECT": "pets", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "run"
    run = ct.train("coop", data=f"folder:{photos}", shots=2, epochs=2, log="wandb", out=out)
    assert not (out / "loggers.json").exists()
    (file,) = out.glob("wandb/offline-run-*/run-*.wandb")
    records = [wandb_internal_pb2.Record.FromString(data) for data in stored_records(file.read_bytes())]
    history = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    losses = [row["loss"] for row in history if "loss" in row]
    assert losses == pytest.approx([row["loss"] for row in run.result.history])
    kinds = {record.WhichOneof("record_type") for record in records}
    assert {"run", "artifact", "summary", "exit"} <= kinds
    (begun, *_) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    assert begun.project == "pets" and begun.display_name == "coop, seed 1"
    assert {"shots", "method"} <= {item.key for item in begun.config.update}
    (artifact,) = (
        record.artifact
        for record in records
        if record.WhichOneof("record_type") == "artifact" and record.artifact.type == "model"
    )
    assert {entry.path for entry in artifact.manifest.contents} >= {"checkpoint.safetensors", "result.json"}
    summary = [item for record in records if record.HasField("summary") for item in record.summary.update]
    final = {item.key or ".".join(item.nested_key): item.value_json for item in summary}
    assert float(final["accuracy/test"]) == pytest.approx(run.result.metrics["test"])
    assert len(list(out.glob("wandb/offline-run-*/files/media/images/**/*.png"))) == 4
