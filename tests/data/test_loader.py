"""Views depend only on seed, epoch and position; each epoch has its own order."""

import os
import threading
import warnings

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import image_io, image_store
from cliptune.data.config import DataConfig
from cliptune.data.custom.folder import Folder
from cliptune.data.items import Items, Workers, to_device
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip, evaluation_view
from cliptune.errors import UserError
from cliptune.masks.from_dataset import DataMasks
from cliptune.masks.full import FullMasks
from tiny_tasks import drawings, task, write_images

CPU = torch.device("cpu")
PREPROCESS = Preprocess((32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def made(seed=1, augment=True, examples=None):
    toy = task()
    chosen = toy.train if examples is None else examples
    return ExampleSet(toy.dataset, chosen, PREPROCESS, augment=RandomCropFlip(32) if augment else None, seed=seed)


def images(examples, epoch):
    """Views by position, and their order."""
    seen, order = {}, []
    for batch in examples.epoch_batches(epoch, 5, CPU):
        order += batch.index.tolist()
        seen |= dict(zip(batch.index.tolist(), batch.images, strict=True))
    return seen, order


def test_a_view_depends_on_seed_epoch_and_position():
    (one, order), (again, order_again) = images(made(), 2), images(made(), 2)
    assert order == order_again and all(torch.equal(one[i], again[i]) for i in one)
    for other, other_order in (images(made(), 3), images(made(seed=2), 2)):
        assert other_order != order
        shared = one.keys() & other.keys()
        assert shared and not any(torch.equal(one[i], other[i]) for i in shared)


def test_earlier_epochs_and_the_global_seed_do_not_matter():
    fresh, used = made(), made()
    for epoch in range(3):
        images(used, epoch)
    torch.manual_seed(99)
    one, other = images(fresh, 5)[0], images(used, 5)[0]
    assert all(torch.equal(one[i], other[i]) for i in one)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_change_nothing():
    alone = list(made().epoch_batches(1, 5, CPU, masks=DataMasks()))
    helped = list(made().epoch_batches(1, 5, CPU, masks=DataMasks(), workers=Workers(2)))
    for one, other in zip(alone, helped, strict=True):
        for name in ("images", "labels", "masks", "index"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


def process_of(key):
    return torch.zeros(3, 1, 1), torch.zeros(0), os.getpid(), key


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_live_from_epoch_to_epoch_while_they_read_the_same():
    workers, source, other = Workers(2), object(), object()

    def processes(*sources):
        return {int(pid) for batch in workers.read(Items(process_of, *sources), [[0, 1]] * 4) for pid in batch[2]}

    first = processes(source, None)
    assert len(first) == 2 and os.getpid() not in first
    next(workers.read(Items(process_of, source, None), [[0], [1], [2]]))  # an epoch that is not read to its end
    assert processes(source, None) == first
    assert processes(other, None).isdisjoint(first)


def test_threads_change_nothing(photos, monkeypatch):
    folder, seen = Folder(photos), set()
    train = folder.examples("train")
    decode = image_io.decode

    def noted(file):
        seen.add(threading.get_ident())
        return decode(file)

    monkeypatch.setattr(image_io, "decode", noted)
    monkeypatch.setattr(Folder, "reading", DataConfig(cache=False))
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    epochs = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        examples = ExampleSet(folder, train, PREPROCESS, augment=RandomCropFlip(32))
        epochs.append(list(examples.epoch_batches(1, 2, CPU)))
    assert len(epochs[0]) == len(train) // 2 and len(seen) > 1
    for one, other in zip(*epochs, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.index, other.index)
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == (filters, limit), "restored"


def test_errors_in_threads_are_raised_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(Folder, "reading", DataConfig(cache=False))
    folder = Folder(write_images(tmp_path))
    train = folder.examples("train")
    train[1].path.write_bytes(b"")
    with pytest.raises(UserError, match=f"image {train[1].path} cannot be read: it is empty"):
        list(ExampleSet(folder, train, PREPROCESS).in_order(2, CPU))


def test_an_epoch_visits_every_example_once_and_drops_an_incomplete_batch():
    examples = made()  # 12 examples
    assert sorted(sum(examples.order(0, 4), [])) == list(range(12))
    assert [len(b) for b in examples.order(0, 5)] == [5, 5]
    assert [len(b) for b in examples.order(0, 12)] == [12]
    assert [len(b) for b in examples.order(0, 32)] == [12], "a single batch is not dropped"


def test_an_epoch_is_divided_among_processes():
    examples = made()
    parts = [sum(examples.order(3, 2, rank, 3), []) for rank in range(3)]
    assert sorted(sum(parts, [])) == list(range(12)) and {len(p) for p in parts} == {4}
    whole = sum(examples.order(3, 12), [])
    assert parts == [whole[rank::3] for rank in range(3)]


def test_sequential_batches_are_evaluation_views_without_masks():
    toy = task()
    (batch,) = made(augment=False).in_order(100, CPU)
    assert batch.index.tolist() == list(range(12)) and batch.masks is None
    assert batch.labels.tolist() == [e.label for e in toy.train]
    pixels = batch.images * torch.tensor(PREPROCESS.std).view(3, 1, 1) + torch.tensor(PREPROCESS.mean).view(3, 1, 1)
    for i, example in enumerate(toy.train):
        expected = evaluation_view(to_pil_image(toy.dataset.read(example).image), PREPROCESS)
        assert torch.equal((pixels[i] * 255).round().to(torch.uint8), expected)


def test_masks_of_batches_are_in_the_unit_interval():
    batches = list(made().epoch_batches(0, 4, CPU, masks=DataMasks()))
    for batch in batches:
        assert batch.masks.shape == (4, 1, 32, 32) and batch.masks.dtype == torch.float32
        assert 0 <= batch.masks.min() and batch.masks.max() <= 1
    assert next(iter(made().epoch_batches(0, 4, CPU, masks=FullMasks()))).masks.min() == 1


def test_squashed_batches_have_keys_and_labels():
    toy = task()
    pieces = list(made().squashed_batches(5))
    assert [k for keys, _, _ in pieces for k in keys] == [e.key for e in toy.train]
    assert torch.cat([labels for _, _, labels in pieces]).tolist() == [e.label for e in toy.train]
    assert [images.shape for _, images, _ in pieces] == [(5, 3, 32, 32), (5, 3, 32, 32), (2, 3, 32, 32)]


@pytest.mark.parametrize("memory, reads", [(2 << 30, 1), (0, 2)])
def test_images_are_read_once_if_memory_allows(monkeypatch, memory, reads):
    count, read = [], type(drawings()).read
    monkeypatch.setattr(image_store, "MAX_MEMORY_BYTES", memory)
    monkeypatch.setattr(type(drawings()), "read", lambda self, e: (count.append(e.key), read(self, e))[1])
    examples = made()
    one, other = examples.image(3), examples.image(3)
    assert torch.equal(one.image, other.image) and len(count) == reads


def test_views_of_other_sizes_do_not_mix_in_a_shared_store():
    toy, views = task(), {}
    store = image_store.ImageStore(toy.dataset)
    for preset in ("crop", "coop-2021"):
        for size in (32, 48):
            examples = ExampleSet(toy.dataset, toy.train, Preprocess((size, size)), preset=preset, store=store)
            views[preset, size] = examples.view(0)
            wanted = evaluation_view(to_pil_image(examples.image(0).image), Preprocess((size, size)), preset)
            assert torch.equal(examples.view(0), wanted)
    assert not torch.equal(views["crop", 32], views["coop-2021", 32])


@pytest.mark.parametrize("place, pinned", [("cuda", True), ("cpu", False)])
def test_copies_to_a_gpu_are_from_pinned_memory_and_do_not_wait(monkeypatch, place, pinned):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: calls.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *args, **more: calls.append((args, more)) or tensor)
    to_device(torch.ones(2), torch.device(place))
    assert calls == ["pinned"] * pinned + [((torch.device(place),), {"non_blocking": True})]
