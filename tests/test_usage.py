"""What is wrong with a command line, told in one line."""

import pytest

from naejax.cli import main

TRAIN = "train --data wine --out x "
LINES = {
    TRAIN + "--epochs three": "--epochs is 'three', expected a whole number",
    TRAIN + "--epochs=three": "--epochs is 'three', expected a whole number",
    TRAIN + "--batch_size 1.5": "--batch-size is '1.5', expected a whole number",
    TRAIN + "--learning-rate a": "--learning-rate is 'a', expected a number",
    TRAIN + "--hidden 3 y": "--hidden is '3 y', expected whole numbers",
    TRAIN + "--grid 3": "--grid is '3', expected two whole numbers",
    TRAIN + "--monotone a b": "--monotone is 'a b', expected names, each with 1 or -1",
    TRAIN + "--gate contxt": "--gate is 'contxt'; did you mean 'context'? There are: "
    "context, equal, own, none",
    TRAIN + "--epoks 3": "no option --epoks; did you mean --epochs? See naejax train "
    "--help",
    TRAIN + "--lr 3 --catagories a": "no option --lr; did you mean --learning-rate? No "
    "option --catagories; did you mean --categories? See naejax train --help",
    TRAIN + "--xyzzy": "no option --xyzzy. See naejax train --help",
    TRAIN + "two words": "'two', 'words' belong to no option; quote what has spaces. "
    "See naejax train --help",
    "train --data wine --out": "--out lacks its value, expected a word",
    "predict": "naejax predict needs the folder of a run, --data, --out. See naejax "
    "predict --help",
    "predict run --dta x --out y": "no option --dta; did you mean --data? See naejax "
    "predict --help",
    "sweep --data wine": "naejax sweep needs --out. See naejax sweep --help",
    "prepare --data a --out b --name c --splits train x": "--splits is 'train x', "
    "expected names, each with a number",
    "trian": "no command 'trian'; did you mean 'train'? There are: train, predict, "
    "explain, sweep, prepare, datasets",
    "": "no command given; there are: train, predict, explain, sweep, prepare, "
    "datasets",
    "--out x": "--out comes after a command; there are: train, predict, explain, "
    "sweep, prepare, datasets",
}


@pytest.mark.parametrize("words", LINES)
def test_the_line_says_what_to_do(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    printed = capsys.readouterr()
    assert stop.value.code == 2 and printed.out == ""
    assert printed.err == f"naejax: error: {LINES[words]}\n"


def test_gates_are_a_choice_in_help_and_those_of_the_model(capsys):
    from typing import get_args, get_type_hints

    from naejax.models.gates import GATES
    from naejax.settings import Settings

    assert get_args(get_type_hints(Settings)["gate"]) == GATES
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--gate {context,equal,own,none}" in capsys.readouterr().out
