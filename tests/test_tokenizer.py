"""Tokenizers from files and from words, or refused in a line."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from naejax.data import Texts, word_tokenizer
from naejax.data.tokenizer import SPECIAL_TOKENS, open_tokenizer


def test_words_in_their_order():
    texts = Texts(
        ["b  a\tb c\n", "a [SEP] d b"], ["c d e", ""], np.zeros(2), [], ("x", "y")
    )
    tokenizer = word_tokenizer(texts)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary, key=vocabulary.get) == [*SPECIAL_TOKENS, *"bacde"]
    encoding = tokenizer.encode("a  zz\u2028c a", add_special_tokens=False)
    assert encoding.ids == [6, 1, 7, 6]
    assert encoding.offsets == [(0, 1), (3, 5), (6, 7), (8, 9)]
    assert (
        word_tokenizer(texts.text[::-1]).get_vocab()
        == word_tokenizer(texts.text).get_vocab()
    )


def write(folder, *names, **options):
    (folder / "vocab.txt").write_text("\r\n".join(names))
    if options:
        (folder / "tokenizer_config.json").write_text(json.dumps(options))


def tokens(source, text):
    return open_tokenizer(source).encode(text, add_special_tokens=False).tokens


def test_word_pieces(tmp_path):
    names = [*SPECIAL_TOKENS, "Ab", "ab", "##c", "é", "e", "漢字", "\u2028"]
    write(tmp_path, *names)
    assert open_tokenizer(tmp_path).token_to_id("\u2028") == len(names) - 1
    assert tokens(tmp_path, "Abc é 漢字 abd") == ["ab", "##c", "e", *["[UNK]"] * 3]
    # As the models' own tokenizer does.
    assert tokens(tmp_path, "ab[SEP]") == ["ab", "[SEP]"]
    write(tmp_path, *names, do_lower_case=False)
    assert tokens(tmp_path, "Abc é") == ["Ab", "##c", "é"]
    write(tmp_path, *names, strip_accents=False, tokenize_chinese_chars=False)
    assert tokens(tmp_path, "Ab É 漢字") == ["ab", "é", "漢字"]
    # What the package wrote comes first.
    word_tokenizer(["x"]).save(str(tmp_path / "tokenizer.json"))
    assert tokens(tmp_path, "x") == ["x"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (None, None, "no tokenizer.json or vocab.txt in"),
        ("tokenizer.json", "{}", r"cannot read .*tokenizer.json \(.*\), expected"),
        ("tokenizer.json", "{", r"cannot read .*tokenizer.json \(.*\), expected"),
        ("vocab.txt", "a\nb", r"no \[UNK\] in"),
        ("vocab.txt", "[UNK]\n[CLS]", r"the tokenizer lacks \[SEP\], \[PAD\], exp"),
        ("tokenizer_config.json", "[]", "is no JSON object"),
        ("tokenizer_config.json", "{", "is no JSON"),
    ],
)
def test_refused_in_one_line(tmp_path, file, content, message):
    if file == "tokenizer_config.json":
        write(tmp_path, *SPECIAL_TOKENS)
    if file:
        (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_not_there():
    with pytest.raises(ValueError, match=r"cannot read lost.json: No such file"):
        open_tokenizer("lost.json")
    with pytest.raises(ValueError, match=r"lacks \[CLS\], \[SEP\], \[PAD\]"):
        open_tokenizer(Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")))
