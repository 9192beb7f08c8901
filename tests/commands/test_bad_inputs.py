"""Two hundred mistakes at the command line, one a row: each ends with one sentence, exit code 2, and nothing written.

A row is a command line, with places of the fixture `places` in braces, and what the sentence must hold.
"""

import pytest

FRONT = """
    tran coop                                 | nearest: train
    xyzzy                                     | known: app, auto, background, data, demo
    --verbose                                 | unknown command '--verbose'
    ''                                        | unknown command ''
    Train                                     | nearest: train
    list                                      | list takes one of methods, backbones, data
    list everything                           | list takes one of
    list methods data                         | got methods data
    data chek                                 | data takes one of list, check
    masks paint                               | masks takes one of check, make
    results tabel                             | results takes one of table
"""

TRAIN = """
    train                                     | a method (
    train --data emoji                        | a method (
    train mapel                               | nearest: maple
    train MAPLE                               | unknown method 'MAPLE'
    train coop+mapel                          | unknown method 'mapel'
    train dapt                                | dapt wraps another method
    train copypaste+dapt                      | copypaste wraps another method
    train :                                   | cannot be imported
    train +                                   | names no method
    train maple+                              | names no method
    train +maple                              | names no method
    train maple+maple                         | 'maple' does not wrap other methods
    train zeroshot+dapt                       | trains nothing
    train no.such:Method                      | cannot be imported
    train os:path                             | is not a subclass
    train .x:y                                | cannot be imported
    train coop --epochz 3                     | nearest: --epochs
    train coop --depth 3                      | unknown option --depth
    train coop -x                             | -x
    train coop stray                          | stray
    train coop --lr                           | --training.lr
    train coop --lr much                      | 'much'
    train coop --lr nan                       | lr must be a finite number, got nan
    train coop --lr inf                       | lr must be a finite number, got inf
    train coop --lr -inf                      | lr must be a finite number, got -inf
    train coop --lr 0                         | lr must be positive, got 0.0
    train coop --lr=-1                        | lr must be positive, got -1.0
    train coop --lr 1e999                     | lr must be a finite number
    train coop --epochs 1.5                   | '1.5'
    train coop --epochs -1                    | epochs must be at least 0, got -1
    train coop --epochs 9999999999999         | epochs must be at most
    train coop --batch-size 0                 | batch_size must be at least 1
    train coop --momentum nan                 | momentum must be a finite number
    train coop --weight-decay -1              | weight_decay must be at least 0
    train coop --warmup-epochs -2             | warmup_epochs must be at least 0
    train coop --warmup-lr nan                | warmup_lr must be a finite number
    train coop --optimizer rmsprop            | 'rmsprop'
    train coop --augment strong               | 'strong'
    train coop --keep all                     | 'all'
    train coop --workers 100000               | workers must be from 0 to 1024
    train coop --cached-views -1              | cached_views must be at least 0
    train coop --seed -1                      | seed must be from 0
    train coop --seed 9223372036854775808     | seed must be from 0 to 2**63 - 1
    train coop --seed 1.0                     | '1.0'
    train coop --shots -2                     | shots must be at least 0
    train coop --shots two                    | 'two'
    train coop --shots 99999999999            | shots must be at most
    train coop --n-ctx 0                      | n_ctx must be at least 1
    train coop --n-ctx 90                     | n_ctx has no effect
    train coop --words '' --n-ctx 90 --data folder:{photos} | has 94 tokens
    train coop --class-specific               | class_specific has no effect
    train coop --position left                | 'left'
    train cocoop --n-ctx 7                    | n_ctx has no effect
    train maple --depth 0                     | depth must be at least 1
    train maple --depth 99 --data folder:{photos} | depth=99 is more than
    train ivlp --n-ctx-image -1               | n_ctx_image must be at least 0
    train vpt --template 'a photo'            | needs exactly one {}
    train zeroshot --template '{} {x}'        | needs exactly one {}
    train kgcoop --template '{} of {}'        | needs exactly one {}
    train kgcoop --weight nan                 | weight must be a finite number
    train prograd --temperature 0             | temperature must be positive
    train prograd --lam=-inf                  | lam must be a finite number
    train promptsrc --aggregate-std 0         | aggregate_std must be positive
    train restore --text-ratio 1.5            | text_ratio must be from 0 to 1
    train restore --words 'a {photo}'         | must not contain braces
    train dpl --search-betas 0.5              | --method.search-betas
    train dpl --search-betas 0.5 1.5          | search_betas must be below 1
    train dpl --longest-text 0 --longest-image 0 | leave nothing to learn
    train clip_adapter --ratio 0              | nothing would be learned
    train clip_adapter --reduction 0          | reduction must be at least 1
    train tip_adapter --alpha nan             | alpha must be a finite number
    train maple+dapt --switch 2               | switch must be from 0 to 1
    train maple+dapt --margin nan             | margin must be a finite number
    train maple+dapt --background-template x  | background_template 'x' needs exactly one {}
    train maple+dapt --background-classes ' ' | background_classes is empty
    train maple+dapt --masks-from nope        | unknown mask source 'nope'
    train maple+dapt --masks-from folder      | unknown mask source 'folder'
    train maple+dapt --masks-from folder:{none} --data folder:{photos} | no mask folder
    train maple+dapt --mask-from data         | nearest: --masks-from
    train maple+copypaste --pasted nan        | pasted must be a finite number
    train coop --data nope                    | unknown dataset 'nope'
    train coop --data ''                      | unknown dataset ''
    train coop --data folder                  | folder needs a path
    train coop --data folder:                 | folder needs a path
    train coop --data folder:{none}           | no folder at
    train coop --data folder:{file}           | file
    train coop --data folder:{empty}          | empty
    train coop --data folder:{one_class}      | one_class
    train coop --data csv:{none}              | none
    train coop --data csv:{list.csv}          | --image-column
    train coop --data csv:{long.csv}          | none.png
    train coop --data csv:{long.csv} --image-column x | x
    train coop --data json:{split.json}       | split.json
    train coop --data json:{list.json}        | list.json
    train coop --data json:{none}             | none
    train coop --data emoji:rhoo=1            | rho
    train coop --data emoji:rho=2             | rho must be from 0 to 1, got 2.0
    train coop --data emoji:rho=nan           | rho
    train coop --data oxford_pets             | --root
    train coop --data oxford_pets --root {none} | no folder at
    train coop --data oxford_pets --root {empty} | oxford_pets
    train coop --templates 'a photo'          | needs exactly one {}
    train coop --shrink -1                    | shrink must be at least 0
    train coop --image-column x               | image_column has no effect
    train coop --draws {none} --data folder:{photos} | none
    train coop --backbone nope                | unknown backbone 'nope'
    train coop --backbone ViT-B-61            | nearest: ViT-B-16
    train coop --backbone {none}.pt --data folder:{photos} | no weights file at
    train coop --backbone {w.pt} --data folder:{photos} | w.pt
    train coop --backbone {w.safetensors} --data folder:{photos} | w.safetensors
    train coop --backbone {empty} --data folder:{photos} | empty
    train coop --backbone ViT-B-16 --pretrained openia | nearest: openai
    train coop --device tpu                   | tpu
    train coop --device toaster               | toaster
    train coop --devices 0                    | devices must be at least 1
    train coop --precision 64                 | 64
    train coop --protocol fewshot             | nearest: few_shot
    train coop --protocol ''                  | unknown protocol ''
    train coop --preset nope                  | there are auto, none
    train zeroshot --preset tiny              | there are auto, none
    train coop --targets noto                 | few_shot has no targets
    train coop --joint                        | few_shot has no joint
    train coop --protocol cross_dataset --targets nope | nope
    train coop --fraction 0                   | fraction must be above 0
    train coop --fraction nan                 | fraction must be a finite number
    train coop --selector nope                | unknown coreset method 'nope'
    train coop --selector herding             | selector has no effect
    train coop --selector uncertainty,m=1 --fraction 0.5 | has no option 'm'
    train coop --selector gradmatch,ridge=nan --fraction 0.5 | not finite
    train coop --selector-variant dapt        | selector_variant has no effect
    train coop --evaluate-at 0                | evaluate_at must be at least 1
    train coop --evaluate-at 99               | evaluate_at has no effect
    train coop --out /                        | is the root of the file system
    train coop --out /dev/null                | not a directory
    train coop --out {file}                   | not a directory
    train coop --out {file}/below             | not a directory
"""


def rows(table):
    """Command line and fragment of each row."""
    pairs = (line.rsplit("|", 1) for line in table.strip().splitlines())
    return [(line.strip(), message.strip()) for line, message in pairs]


@pytest.mark.parametrize("line, message", rows(FRONT))
def test_commands(rejected, line, message):
    assert message in rejected(line)


@pytest.mark.parametrize("line, message", rows(TRAIN))
def test_train(rejected, line, message):
    assert message in rejected(line)
