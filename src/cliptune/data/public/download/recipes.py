"""Where each public dataset is fetched, and how what comes is laid out: addresses and digests as published.

Digests of original archives are those that torchvision and readers of the ImageNet family check; sizes are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

#: Zips of all but ImageNet and Pascal VOC, each with its split, collected by the authors of PromptKD.
COLLECTION = "zhengli97/prompt_learning_dataset"
#: Where the authors of CoOp keep their split files.
DRIVE = "https://drive.google.com/uc?export=download&id="


@dataclass(frozen=True)
class RemoteFile:
    """A file on a dataset's own site."""

    url: str
    digest: str = ""
    """ "md5:..." or "sha256:...", where it is known."""
    inner: str = ""
    """An archive inside the archive which is to be unpacked too."""
    name: str = ""
    """What the file is called where its address does not say."""

    @property
    def file(self) -> str:
        """The name it has on disk."""
        return self.name or PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Recipe:
    """How to get a dataset."""

    home: str
    """Its folder under the root, in the CoOp layout."""
    sign: str
    """A folder below `home` by which its home is known in an archive of any shape."""
    aliases: tuple[str, ...] = ()
    """Other names its zip may go by in the collection, beside its own and its folder's."""
    collected: bool = True
    """Whether the collection has it."""
    remote_files: tuple[RemoteFile, ...] = ()
    """The archives of its own site."""
    moves: tuple[tuple[str, str], ...] = ()
    """What of those archives goes where under the root."""
    split: RemoteFile | None = None
    """The split file, for pictures from the original site; the dataset's card knows its digest."""
    gigabytes: tuple[float, float] = (0, 0)
    """Of the collection's zip and of the original archives; 0 where unknown."""
    enough: int = 0
    """Pictures with which it can be used, where its own site has fewer than published numbers rest on."""
    manual_steps: str = ""
    """What to fetch by hand and where it goes, where the original cannot be fetched."""


OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
BERKELEY = "https://people.eecs.berkeley.edu/~hendrycks/"
HUB = "https://huggingface.co/datasets/"

RECIPES: dict[str, Recipe] = {
    "imagenet": Recipe(
        "imagenet",
        "images",
        collected=False,
        manual_steps="ImageNet's licence lets only its own site hand it out: log in at "
        "https://image-net.org/download and "
        "put the 1,000 class folders of each part under {root}/imagenet/images/train and {root}/imagenet/images/val",
    ),
    "caltech101": Recipe(
        "caltech-101",
        "101_ObjectCategories",
        remote_files=(
            RemoteFile(
                "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                "md5:3138e1922a9193bfa496528edbbc45d0",
                inner="caltech-101/101_ObjectCategories.tar.gz",
            ),
        ),
        moves=(("101_ObjectCategories", "caltech-101/101_ObjectCategories"),),
        split=RemoteFile(DRIVE + "1hyarUivQE36mY6jSomru6Fjd-JzwcCzN", name="split_zhou_Caltech101.json"),
        gigabytes=(0.14, 0.14),
    ),
    "oxford_pets": Recipe(
        "oxford_pets",
        "images",
        aliases=("oxford-iiit-pet",),
        remote_files=(
            RemoteFile(OXFORD + "pets/data/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            RemoteFile(OXFORD + "pets/data/annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
        moves=(("annotations", "oxford_pets/annotations"), ("images", "oxford_pets/images")),
        split=RemoteFile(DRIVE + "1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs", name="split_zhou_OxfordPets.json"),
        gigabytes=(0, 0.81),
    ),
    "stanford_cars": Recipe(
        "stanford_cars",
        "cars_train",
        manual_steps="the site of StanfordCars is gone; take --from archive, or by hand any copy with the folders "
        "cars_train and cars_test, to be put into {root}/stanford_cars",
    ),
    "oxford_flowers": Recipe(
        "oxford_flowers",
        "jpg",
        aliases=("flowers-102",),
        remote_files=(RemoteFile(OXFORD + "flowers/102/102flowers.tgz", "md5:52808999861908f626f3c1f4e79d11fa"),),
        moves=(("jpg", "oxford_flowers/jpg"),),
        split=RemoteFile(DRIVE + "1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT", name="split_zhou_OxfordFlowers.json"),
        gigabytes=(0, 0.34),
    ),
    "food101": Recipe(
        "food-101",
        "images",
        remote_files=(
            RemoteFile("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "md5:85eeb15f3717b99a5da872d97d918f87"),
        ),
        moves=(("food-101", "food-101"),),
        split=RemoteFile(DRIVE + "1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl", name="split_zhou_Food101.json"),
        gigabytes=(5.0, 5.0),
    ),
    "fgvc_aircraft": Recipe(
        "fgvc_aircraft",
        "images",
        aliases=("fgvc-aircraft-2013b",),
        remote_files=(RemoteFile(OXFORD + "fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"),),
        moves=(("fgvc-aircraft-2013b/data", "fgvc_aircraft"),),
        gigabytes=(2.75, 2.75),
    ),
    "sun397": Recipe(
        "sun397",
        "SUN397",
        remote_files=(
            RemoteFile(
                "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                "md5:8ca2778205c41d23104230ba66911c7a",
            ),
        ),
        moves=(("SUN397", "sun397/SUN397"),),
        split=RemoteFile(DRIVE + "1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq", name="split_zhou_SUN397.json"),
        gigabytes=(0, 39),
    ),
    "dtd": Recipe(
        "dtd",
        "images",
        remote_files=(RemoteFile(OXFORD + "dtd/download/dtd-r1.0.1.tar.gz", "md5:fff73e5086ae6bdbea199a49dfb8a4c1"),),
        moves=(("dtd", "dtd"),),
        split=RemoteFile(DRIVE + "1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x", name="split_zhou_DescribableTextures.json"),
        gigabytes=(0.63, 0.63),
    ),
    "eurosat": Recipe(
        "eurosat",
        "2750",
        remote_files=(
            RemoteFile(
                HUB + "torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                "md5:c8fa014336c82ac7804f0398fcb19387",
            ),
        ),
        moves=(("2750", "eurosat/2750"),),
        split=RemoteFile(DRIVE + "1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o", name="split_zhou_EuroSAT.json"),
        gigabytes=(0.09, 0.09),
    ),
    "ucf101": Recipe(
        "ucf101",
        "UCF-101-midframes",
        manual_steps="the original UCF101 is videos, of which the middle frames are needed; "
        "take --from archive, or by hand "
        "UCF-101-midframes.zip (https://drive.google.com/file/d/10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O), to be unpacked in "
        "{root}/ucf101",
    ),
    "imagenetv2": Recipe(
        "imagenetv2",
        "imagenetv2-matched-frequency-format-val",
        remote_files=(RemoteFile(HUB + "vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz"),),
        moves=(("imagenetv2-matched-frequency-format-val", "imagenetv2/imagenetv2-matched-frequency-format-val"),),
        gigabytes=(0, 1.3),
    ),
    "imagenet_sketch": Recipe(
        "imagenet-sketch",
        "images",
        remote_files=(RemoteFile(HUB + "songweig/imagenet_sketch/resolve/main/data/ImageNet-Sketch.zip"),),
        moves=(("sketch", "imagenet-sketch/images"),),
        gigabytes=(0, 7.8),
    ),
    "imagenet_a": Recipe(
        "imagenet-adversarial",
        "imagenet-a",
        aliases=("imagenet-a",),
        remote_files=(RemoteFile(BERKELEY + "imagenet-a.tar", "md5:c3e55429088dc681f30d81f4726b6595"),),
        moves=(("imagenet-a", "imagenet-adversarial/imagenet-a"),),
        gigabytes=(0.68, 0.69),
    ),
    "imagenet_r": Recipe(
        "imagenet-rendition",
        "imagenet-r",
        aliases=("imagenet-r",),
        remote_files=(RemoteFile(BERKELEY + "imagenet-r.tar", "md5:a61312130a589d0ca1a8fca1f2bd3337"),),
        moves=(("imagenet-r", "imagenet-rendition/imagenet-r"),),
        gigabytes=(2.1, 2.2),
    ),
    "pascal_voc": Recipe(
        "voc12data",
        "VOCdevkit/VOC2012/JPEGImages",
        collected=False,
        remote_files=(
            RemoteFile(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
            ),
        ),
        moves=(("VOCdevkit", "voc12data/VOCdevkit"),),
        gigabytes=(0, 2.0),
        enough=1464 + 1449,  # the longer list of training pictures and their masks are Hariharan's
    ),
}
