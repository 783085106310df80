"""Tokenizers: read from the files of a published model, or made of the texts' words."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from naejax.data.text_files import read_utf8
from naejax.data.tfds_text import Texts

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

Tokenizer = Any
"""A `tokenizers.Tokenizer`; the package is imported when one is needed."""


def open_tokenizer(source: str | Path | Tokenizer) -> Tokenizer:
    """Opens a tokenizer as published models bring it.

    Args:
        source: a folder with ``tokenizer.json``, or with the word pieces of BERT in
            ``vocab.txt`` and maybe ``do_lower_case``, ``strip_accents`` and
            ``tokenize_chinese_chars`` in ``tokenizer_config.json``; the path of such a
            ``tokenizer.json``; or a `tokenizers.Tokenizer`.

    Returns:
        A tokenizer that neither shortens nor fills up texts, the caller's own.

    Raises:
        ValueError: if there is none, it cannot be read, it lacks [CLS], [SEP] or [PAD],
            or the package tokenizers is not installed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "vocab.txt").write_text("\\n".join(
        ...     [*SPECIAL_TOKENS, "play", "##ing"]))
        >>> open_tokenizer(folder).encode("Playing", add_special_tokens=False).tokens
        ['play', '##ing']
    """
    library = _library()
    if isinstance(source, library.Tokenizer):
        tokenizer = library.Tokenizer.from_str(source.to_str())
    else:
        path = Path(source)
        if path.is_dir():
            names = ("tokenizer.json", "vocab.txt")
            found = [path / name for name in names if (path / name).is_file()]
            if not found:
                raise ValueError(
                    f"no tokenizer.json or vocab.txt in {path}, expected one; name the "
                    "folder of a published model"
                )
            path = found[0]
        read = _from_json if path.suffix == ".json" else _from_word_pieces
        tokenizer = read(path)
    absent = [
        t for t in ("[CLS]", "[SEP]", "[PAD]") if tokenizer.token_to_id(t) is None
    ]
    if absent:
        raise ValueError(
            f"the tokenizer lacks {', '.join(absent)}, expected them all; take a "
            "tokenizer of a model such as BERT, or word_tokenizer(texts)"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def word_tokenizer(texts: Texts | Sequence[str]) -> Tokenizer:
    """Makes a tokenizer that knows the words of some texts, those between white space.

    Ids: those of `SPECIAL_TOKENS`, then the words, the frequent ones first and equally
    frequent ones by their names. Other words are [UNK].

    Args:
        texts: texts with their queries, or texts.

    Returns:
        A `tokenizers.Tokenizer`; its method ``save`` writes a ``tokenizer.json``.

    Raises:
        ValueError: if the package tokenizers is not installed.

    Example:
        >>> tokenizer = word_tokenizer(["so  good", "so bad"])
        >>> tokenizer.encode("so good so new").ids
        [5, 7, 5, 1]
    """
    library = _library()
    split = library.pre_tokenizers.WhitespaceSplit()
    if isinstance(texts, Texts):
        texts = [*texts.text, *texts.query]
    words = (word for text in texts for word, _ in split.pre_tokenize_str(text))
    counts = Counter(words)
    ordered = sorted(counts.keys() - set(SPECIAL_TOKENS), key=lambda w: (-counts[w], w))
    vocabulary = {word: i for i, word in enumerate(chain(SPECIAL_TOKENS, ordered))}
    tokenizer = library.Tokenizer(
        library.models.WordLevel(vocabulary, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = split
    return tokenizer


def _library() -> Any:
    """The package tokenizers."""
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError(
            "to cut texts into tokens takes tokenizers, which is not installed; "
            "pip install 'naejax[text]'"
        ) from error
    return tokenizers


def _from_json(path: Path) -> Tokenizer:
    """A tokenizer that its own package has written."""
    text = read_utf8(path)
    try:
        return _library().Tokenizer.from_str(text)
    except Exception as error:  # The package raises nothing more precise.
        raise ValueError(
            f"cannot read {path} ({str(error).splitlines()[0]}), expected a "
            "tokenizer.json of the package tokenizers; fetch it again"
        ) from error


def _from_word_pieces(path: Path) -> Tokenizer:
    """A tokenizer of BERT: a line of the file is a word piece, its number the id."""
    library = _library()
    lines = [line.rstrip("\r") for line in read_utf8(path).split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    vocabulary = {token: i for i, token in enumerate(lines)}
    if "[UNK]" not in vocabulary:
        raise ValueError(
            f"no [UNK] in {path}, expected a line for each word piece of BERT; name "
            "the folder of a published model"
        )
    options = _options(path.with_name("tokenizer_config.json"))
    tokenizer = library.Tokenizer(
        library.models.WordPiece(vocabulary, unk_token="[UNK]")
    )
    tokenizer.normalizer = library.normalizers.BertNormalizer(
        lowercase=options.get("do_lower_case", True),
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=options.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([t for t in SPECIAL_TOKENS if t in vocabulary])
    return tokenizer


def _options(path: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, if it is there."""
    if not path.is_file():
        return {}
    try:
        options = json.loads(read_utf8(path))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); repair it") from error
    if not isinstance(options, dict):
        raise ValueError(f"{path} is no JSON object, expected {{...}}; repair it")
    return options
