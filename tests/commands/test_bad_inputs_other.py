"""More of the table of mistakes (see test_bad_inputs.py): commands that do not train, and sweeps."""

import pytest

from cliptune.results import store
from cliptune.types import Result

SWEEP = """
    run                                       | a protocol (base_to_novel
    run --methods coop                        | a protocol (base_to_novel
    run base-to-new                           | unknown protocol 'base-to-new'; nearest: base_to_novel
    run few-shot stray                        | stray
    run few-shot --methods                    | methods is empty
    run few-shot --methods coop mapel         | nearest: maple
    run few-shot --methods dapt               | dapt wraps another method
    run few-shot --methods coop coop          | methods contains 'coop' twice
    run few-shot --seeds                      | seeds is empty
    run few-shot --seeds 1 1                  | seeds contains 1 twice
    run few-shot --seeds -1                   | seeds must be from 0
    run few-shot --seeds one                  | 'one'
    run few-shot --shots -1                   | shots must be at least 0
    run few-shot --shots 2 2                  | shots contains 2 twice
    run few-shot --data                       | data is empty
    run few-shot --data emoji emojy           | unknown dataset 'emojy'
    run few-shot --data folder:{none}         | no folder at
    run few-shot --backbone nope              | unknown backbone 'nope'
    run few-shot --epochs -1                  | epochs must be at least 0
    run few-shot --evaluate-at 0              | evaluate_at must be at least 1
    run few-shot --targets noto               | few_shot has no targets
    run few-shot --joint                      | few_shot has no joint
    run few-shot --fractions 0                | fractions must be above 0
    run few-shot --fractions nan              | fractions must be a finite number
    run few-shot --selectors herding          | selectors have no effect
    run data-efficient --selectors nope       | unknown coreset method 'nope'
    run data-efficient --selectors glister,eta=x | eta='x' of glister is not of type number
    run data-efficient --selectors            | selectors is empty
    run few-shot --preset nope                | there are auto, none
    run few-shot --methods zeroshot --preset tiny | there are auto, none
    run few-shot --lrr 0.1                    | unknown option --lrr
    run few-shot --lr nan                     | lr must be a finite number
    run few-shot --seed 3                     | unknown option --seed
    run few-shot --depth 3 --methods coop     | unknown option --depth
    run few-shot --methods maple+dapt --masks-from nope | unknown mask source 'nope'
    run few-shot --runner slurm               | 'slurm'
    run few-shot --workers -1                 | workers must be from 0 to 1024
    run few-shot --address auto               | --address is for --runner ray
    run few-shot --gpus-per-task nan --runner ray | gpus_per_task must be a finite number
    run few-shot --out {file}                 | not a directory
    run few-shot --out /                      | is the root of the file system
    demo --seeds                              | seeds is empty
    demo --shots -1                           | shots must be at least 0
    demo --out {file}                         | not a directory
    demo --fast                               | --fast
"""

RUNS = """
    evaluate                                  | a run's folder comes first
    evaluate --data emoji                     | a run's folder comes first
    evaluate {none}                           | no checkpoint at
    evaluate {file}                           | damaged or truncated
    evaluate {empty}                          | no checkpoint at
    evaluate {trained} --data nope            | unknown dataset 'nope'
    evaluate {trained} --data folder:{none}   | no folder at
    evaluate {trained} --data folder:{empty}  | empty
    evaluate {trained} stray                  | stray
    evaluate {trained} --dta emoji            | --dta
    evaluate {trained} --shrink -1            | shrink must be at least 0
    predict                                   | a run's folder comes first
    predict {trained}                         | no images given
    predict {none} {image}                  | no checkpoint at
    predict {image} {image}               | damaged or truncated
    predict {trained} {none}                  | no image at
    predict {trained} {empty}                 | no images in
    predict {trained} {file}                  | is empty
    predict {trained} {text.png}              | text.png
    predict {trained} {half.png}              | is cut short
    predict {trained} {image} {none}        | no image at
    predict {trained} {image} --top-k 0     | top_k must be at least 1
    predict {trained} {image} --top-k all   | 'all'
    predict {trained} {image} --classes     | at least two class names
    predict {trained} {image} --classes cat | at least two class names
    predict {trained} {image} --classes cat cat | class 'cat' is listed twice
    predict {trained} {image} --classes cat '' | a class name is blank
    predict {trained} {image} --topk 3      | --topk
    report                                    | a folder of runs comes first
    report {none}                             | no result.json under
    report {empty}                            | no result.json under
    report {trained} --pictures -1            | pictures must be at least 0
    report {trained} --images 0               | images must be at least 1
    report {trained} --out {empty}            | is a folder
    report {trained} --out /dev/null          | is a device
    report {trained} --title x                | --title
    background                                | a run's folder comes first
    background {none}                         | no checkpoint.safetensors at or under
    background {trained} --images 1           | images must be at least 2
    background {trained} --seed -1            | seed must be from 0
    background {trained} --masks-from nope    | unknown mask source 'nope'
    background {trained} --saliency all       | 'all'
    background {trained} --test nope          | nope
    background {trained} --data nope          | unknown dataset 'nope'
    import                                    | a checkpoint comes first
    import {none}                             | no file at
    import {empty}                            | no file at
    import {file}                             | file
    import {w.pt}                             | w.pt
    import {w.pt} --method nope               | unknown method 'nope'
    import {w.pt} --wordz x                   | unknown option --wordz
    import {w.pt} --out {file}                | not a directory
"""

DATA = """
    data list --root {none}                   | no folder at
    data list --root {file}                   | no folder at
    data list --format xml                    | 'xml'
    data list stray                           | stray
    data check                                | use cliptune data check ROOT
    data check {none}                         | none
    data check {file}                         | file
    data check {empty}                        | empty
    data check {photos} nope                  | nope
    data check {photos} --format xml          | 'xml'
    data download                             | takes names of datasets
    data download --root {root}               | takes names of datasets
    data download nope --root {root}          | no public dataset 'nope'
    data download emoji --root {root}         | emoji is not a public dataset
    data download dtd                         | --root
    data download dtd --root {file}           | is a file
    data download dtd --root {none}/below/it  | in no folder
    data download dtd --root {root} --mirror ftp://x | --mirror takes a URL
    data download dtd --root {root} --from here | 'here'
    data show                                 | what to show comes first
    data show nope                            | unknown dataset 'nope'
    data show emoji --classes 0               | classes must be from 1 to 1000
    data show emoji --each 99                 | each must be from 1 to 20
    data show emoji --classes 900 --each 20   | the maximum is 1000
    data show emoji --out x.jpg               | the output is a PNG file
    data show emoji --out {empty}             | is a folder
    data show emoji --masks-from nope         | unknown mask source 'nope'
    data show emoji --run {none}              | run has no effect
    data show emoji --split dev               | 'dev'
    data show emoji --seed 1.5                | '1.5'
    data show folder:{photos} --masks-from folder:{none} | no mask folder
    masks check                               | a source of masks comes first
    masks check nope                          | unknown mask source 'nope'
    masks check data --data nope              | unknown dataset 'nope'
    masks check data --against nope           | unknown mask source 'nope'
    masks check data --shots -1               | shots must be at least 0
    masks check data --out x.gif              | is a PNG
    masks check folder:{none} --data folder:{photos} | no mask folder
    masks check box:{list.json} --data folder:{photos} | list.json
    masks check data --run {none}             | run has no effect
    masks make                                | --data
    masks make --data emoji                   | --out
    masks make --data nope --out m            | unknown dataset 'nope'
    masks make --data folder:{photos} --out m --with nope | unknown segmenter 'nope'
    masks make --data folder:{photos} --out m --threshold 2 | threshold must be from 0 to 1
    masks make --data folder:{photos} --out m --points 0 | points must be from 1
    masks make --data folder:{photos} --out m --batch-size -1 | batch_size must be at least 0
    masks make --data folder:{photos} --out {photos}/cat | inside the image folder
    masks make --data folder:{photos} --out m --split dev | 'dev'
"""

RESULTS = """
    results table                             | a folder of runs comes first
    results table {none}                      | no result.json under
    results table {empty}                     | no result.json under
    results table {records} --digits -1       | digits must be from 0 to 17
    results table {records} --digits nan      | 'nan'
    results table {records} --format html     | 'html'
    results table {records} --methods nope    | no run has the label 'nope'
    results table {records} --seeds 9         | no run has seed 9
    results table {records} --rows nope       | no run has the setting 'nope'
    results table {records} --metrics nope    | nope
    results table {records} --columns seed    | use --per-seed
    results table {records} --against nope    | nope
    results table {records} --against coop --cost | --against shows differences only
    results table {records} --spread iqr      | 'iqr'
    results table {records} --out {empty} --format csv | folder
    results table {records} --out /dev/null --format csv | device
    results table {records} stray             | stray
    results table {records} --safe-cells      | safe_cells has no effect on format terminal
    results published --safe-cells            | safe_cells has no effect
    results published --method nope           | nope
    results published --data nope             | nope
    results published --protocol nope         | nope
    results published --format html           | 'html'
    results import                            | a folder of logs comes first
    results import {none}                     | is no folder
    results import {logs}                     | no log.txt under
    results import {logs} --out {file}        | not a directory
"""


def rows(table):
    """Command line and fragment of each row."""
    pairs = (line.rsplit("|", 1) for line in table.strip().splitlines())
    return [(line.strip(), message.strip()) for line, message in pairs]


@pytest.fixture(scope="module")
def records(places, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    config = {"protocol": "few_shot", "shots": 4, "backbone": "tiny", "method": {"name": "coop"}}
    store.save_result(
        Result("few_shot/emoji/4/1", "coop", "emoji", 1, {"test": 50.0}, config), folder / "coop" / "seed1"
    )
    places["records"] = str(folder)


@pytest.mark.parametrize("line, message", [*rows(SWEEP), *rows(RUNS), *rows(DATA), *rows(RESULTS)])
def test_mistakes(rejected, records, monkeypatch, line, message):
    monkeypatch.delenv("CLIPTUNE_DATA", raising=False)
    assert message in rejected(line)
