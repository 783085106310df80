"""Labelled texts as arrays of tokens and parts, the form in which models get them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from naejax.data.text_parts import PARTS, Parts, number_parts
from naejax.data.tfds_text import Texts
from naejax.data.tokenizer import Tokenizer, open_tokenizer

# Devices compile a program for every length: few lengths, few programs.
_STEP = 8
_CHUNK_ROWS = 4096


class TokenizedTexts(NamedTuple):
    """Labelled texts as a model gets them: N texts of at most L tokens.

    Attributes:
        x: token, type, whether there is one, and part, the channels of
            `naejax.ops.tokens`, (N, L, 4); whole numbers as float32.
        label: index into `classes`, (N,).
        rationale: whether a token of a part overlaps the characters that people marked
            as the reason for the label, (N, L).
        pieces: for every text what people see of each of its tokens, padding left out:
            the characters of the text or the query that it stands for, else its name.
        num_parts: the most parts that a text has.
        classes: names of the labels.
        shortened: how many texts were too long and lost their last tokens.
    """

    x: Float[np.ndarray, "N L 4"]
    label: Int[np.ndarray, "N"]
    rationale: Bool[np.ndarray, "N L"]
    pieces: list[list[str]]
    num_parts: int
    classes: tuple[str, ...]
    shortened: int


def tokenize_texts(
    texts: Texts,
    tokenizer: str | Path | Tokenizer,
    *,
    length: int = 512,
    parts: Parts = "words",
    max_parts: int | None = None,
) -> TokenizedTexts:
    """Cuts texts into tokens and says which part each belongs to.

    A text becomes ``[CLS] text [SEP]``, of type 0, and, where there is a query,
    ``query [SEP]``, of type 1, then padding. A text that is too long loses its last
    tokens; a query loses none. Parts of a text are 0, 1, ... in order without gaps;
    the special tokens, the query and padding have part -1, so that no mask ever removes
    them.

    Args:
        texts: from `naejax.data.read_text` or `naejax.data.make_synthetic_texts`.
        tokenizer: a folder with ``tokenizer.json`` or ``vocab.txt`` (word pieces of
            BERT), the path of a ``tokenizer.json``, or a `tokenizers.Tokenizer`, such
            as `word_tokenizer` makes.
        length: the most tokens of a text, its query and the special ones. L is the
            longest one's number of tokens, rounded up to a multiple of 8, or ``length``
            if that is less.
        parts: "words", as the tokenizer divides them, punctuation apart;
            "sentences", ended by each of ``; , . ? !`` and each end of a line; or
            "tokens".
        max_parts: the most parts of a text; where there are more, neighbours join
            evenly. None for any number.

    Returns:
        The texts as arrays.

    Raises:
        ValueError: if the tokenizer cannot be used, an argument is out of range, a
            query leaves no room, or no text has a token.

    Example:
        >>> texts = Texts(["so  good, really"], ["is it?"], np.array([1]),
        ...               [np.array([[4, 8]])], ("neg", "pos"))
        >>> from naejax.data import word_tokenizer
        >>> from naejax.ops.tokens import PART
        >>> found = tokenize_texts(texts, word_tokenizer(texts))
        >>> found.pieces[0]
        ['[CLS]', 'so', 'good,', 'really', '[SEP]', 'is', 'it?', '[SEP]']
        >>> found.x[0, :, PART].astype(int).tolist(), found.rationale[0].nonzero()
        ([-1, 0, 1, 2, -1, -1, -1, -1], (array([2]),))

    Source: the pairs are those of BERT, Devlin et al., NAACL 2019; the sentences those
        of the released Sum-of-Parts code.
    """
    if parts not in PARTS:
        raise ValueError(f"got parts={parts!r}, expected one of: {', '.join(PARTS)}")
    if length < 3:
        raise ValueError(f"got length={length}, expected at least 3; raise it")
    if max_parts is not None and max_parts < 1:
        raise ValueError(f"got max_parts={max_parts}, expected at least 1; raise it")
    tokenizer = open_tokenizer(tokenizer)
    rows: list[_Row] = []
    for start in range(0, len(texts.text), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        encoded = zip(
            texts.text[chunk],
            tokenizer.encode_batch(texts.text[chunk], add_special_tokens=False),
            texts.query[chunk],
            tokenizer.encode_batch(texts.query[chunk], add_special_tokens=False),
            texts.rationales[chunk],
            strict=True,
        )
        for text, tokens, query, asked, spans in encoded:
            room = length - 2 - (len(asked.ids) + 1 if asked.ids else 0)
            if room < 0:
                raise ValueError(
                    f"text {len(rows) + 1} has a query of {len(asked.ids)} tokens, "
                    f"expected at most {length - 3} with length={length}; raise "
                    "length, or shorten the query"
                )
            row = _row(text, tokens, room, parts, max_parts, spans)
            rows.append(_between(row, query, asked, tokenizer))
    return _stack(texts, rows, length, tokenizer.token_to_id("[PAD]"))


class _Row(NamedTuple):
    """One text without padding, L each, and whether it was cut."""

    tokens: list[int]
    types: list[int]
    parts: list[int]
    rationale: list[bool]
    pieces: list[str]
    is_cut: bool


def _row(
    text: str,
    encoding: Any,
    room: int,
    parts: Parts,
    max_parts: int | None,
    spans: np.ndarray,
) -> _Row:
    """The tokens of a text alone for which there is room."""
    offsets = np.array(encoding.offsets[:room], dtype=np.int64).reshape(-1, 2)
    words = np.array(encoding.word_ids[:room], dtype=np.int64)
    numbers = number_parts(parts, text, offsets[:, 0], words, max_parts)
    marked = np.zeros(len(text) + 1, np.int64)
    for start, stop in spans:
        marked[start + 1 : stop + 1] = 1
    before = np.cumsum(marked)
    return _Row(
        encoding.ids[:room],
        [0] * len(offsets),
        numbers.tolist(),
        (before[offsets[:, 1]] > before[offsets[:, 0]]).tolist(),
        _pieces(text, encoding)[:room],
        len(encoding.ids) > room,
    )


def _between(row: _Row, query: str, asked: Any, tokenizer: Tokenizer) -> _Row:
    """The text between its special tokens, and the query after it."""
    start, stop = map(tokenizer.token_to_id, ("[CLS]", "[SEP]"))
    after = [stop, *asked.ids, stop] if asked.ids else [stop]
    pieces = [*_pieces(query, asked), "[SEP]"] if asked.ids else []
    return _Row(
        [start, *row.tokens, *after],
        [0] * (len(row.tokens) + 2) + [1] * (len(after) - 1),
        [-1, *row.parts, *[-1] * len(after)],
        [False, *row.rationale, *[False] * len(after)],
        ["[CLS]", *row.pieces, "[SEP]", *pieces],
        row.is_cut,
    )


def _pieces(text: str, encoding: Any) -> list[str]:
    """The characters that tokens stand for; the name of one that stands for none."""
    found = zip(encoding.offsets, encoding.tokens, strict=True)
    return [text[start:stop] or name for (start, stop), name in found]


def _stack(texts: Texts, rows: list[_Row], length: int, padding: int) -> TokenizedTexts:
    """The rows with padding."""
    # Only now: the numpy predictor reads tables without JAX.
    from naejax.ops.tokens import PART, PRESENT, TOKEN, TYPE

    num_parts = 1 + max((max(row.parts) for row in rows), default=-1)
    if not num_parts:
        raise ValueError(
            "no text has a token, expected at least one; give texts with words, or "
            "raise length"
        )
    longest = max(len(row.tokens) for row in rows)
    length = min(length, -(-longest // _STEP) * _STEP)
    x = np.zeros((len(rows), length, 4), np.float32)
    x[..., TOKEN], x[..., PART] = padding, -1
    rationale = np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        here = slice(len(row.tokens))
        x[i, here, TOKEN], x[i, here, TYPE] = row.tokens, row.types
        x[i, here, PRESENT], x[i, here, PART] = 1, row.parts
        rationale[i, here] = row.rationale
    return TokenizedTexts(
        x,
        texts.label,
        rationale,
        [row.pieces for row in rows],
        num_parts,
        texts.classes,
        sum(row.is_cut for row in rows),
    )
