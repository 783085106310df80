"""Sum-of-Parts on texts whose label takes two phrases far apart.

Command: python experiments/sop_text.py [--quick] [--out FOLDER] [--publish]
Time: 14 minutes, beside other work; --quick half a minute.
Score: accuracy of the backbone 1.00, of Sum-of-Parts 0.99; IoU of its groups with the
    phrases 0.80, of groups at random places 0.12.

Texts of made-up words (`naejax.data.make_synthetic_texts`) hold two phrases, each of
one of two kinds; the label says whether the kinds agree, so that neither phrase alone
tells anything. A small BERT is trained from nothing, some of its texts with random
words removed; Sum-of-Parts around it learns which words to show it together. The
phrases are the true rationales.
"""

import jax
import numpy as np
from publish import deliver, make_parser, mean_sd, table

import naejax
from naejax import data
from naejax.explain.text_plots import plot_text_groups
from naejax.models.bert import BERT
from naejax.models.sop import SumOfParts
from naejax.models.text_backbone import bert_backbone
from naejax.models.text_masking import PartMasked
from naejax.ops.tokens import PART
from naejax.texts import TextSOP, evaluate_texts, explain_texts

ROWS = {"training": 8000, "validation": 1000, "test": 1000}
KEEP = 1 / 8
"""Share of the words that a group keeps: 6 of 48, as many as the phrases have."""
LINES = {
    "accuracy of the backbone": lambda s: s["backbone"]["accuracy"],
    "accuracy of the backbone on the phrases alone": lambda s: s[
        "backbone_on_rationales"
    ]["accuracy"],
    "accuracy of Sum-of-Parts": lambda s: s["sop"]["accuracy"],
    "groups used": lambda s: s["groups"]["used"],
    "share of the words that they keep": lambda s: s["groups"]["covered"],
    "IoU of all groups used with the phrases": lambda s: s["groups"]["sop"][
        "union_iou"
    ],
    "the same, groups at random places": lambda s: s["groups"]["random"]["union_iou"],
    "recall": lambda s: s["groups"]["sop"]["union_recall"],
    "IoU of a group": lambda s: s["groups"]["sop"]["iou"],
    "the same, at random places": lambda s: s["groups"]["random"]["iou"],
    "comprehensiveness": lambda s: s["comprehensiveness"]["sop"],
    "the same, as many random words": lambda s: s["comprehensiveness"]["random"],
    "sufficiency": lambda s: s["sufficiency"]["sop"],
    "the same, random words": lambda s: s["sufficiency"]["random"],
}


def load(seed, quick):
    """Texts to train, validate and test on, as arrays, and how many words there are."""
    rows = {name: 64 if quick else count for name, count in ROWS.items()}
    texts = {
        name: data.make_synthetic_texts(count, seed=10 * seed + i)
        for i, (name, count) in enumerate(rows.items())
    }
    tokenizer = data.word_tokenizer(texts["training"])
    arrays = {name: data.tokenize_texts(t, tokenizer) for name, t in texts.items()}
    return arrays, tokenizer.get_vocab_size()


def train(arrays, vocabulary, seed, quick):
    """A backbone, then Sum-of-Parts around it."""
    width, depth, epochs, groups_epochs = (8, 1, 1, 1) if quick else (64, 2, 12, 4)
    training, validation = (arrays[name] for name in ("training", "validation"))
    bert = BERT(
        len(training.classes),
        vocabulary=vocabulary,
        width=width,
        depth=depth,
        heads=4,
        mlp=2 * width,
        positions=training.x.shape[1],
    )
    how = {
        "loss": "softmax_cross_entropy",
        "batch_size": 64,
        "seed": seed,
        "validation": (validation.x, validation.label),
        "progress": False,
    }
    masked = PartMasked(bert, rate=0.25)
    variables = jax.jit(masked.init)(jax.random.key(seed), training.x[:1])
    result = naejax.fit(
        masked, variables, (training.x, training.label), epochs=epochs, **how
    )
    variables = {"params": result.variables["params"]["model"]}
    backbone = bert_backbone(bert, variables)
    model = SumOfParts(
        backbone,
        len(training.classes),
        num_groups=16,
        keep=KEEP,
        encoder="copy",
        # Queries of filler words, too, find the phrases by what all words share; heads
        # find different ones.
        heads=8,
        standardise=False,
        # An attention that saturates early would keep the words it began with.
        generator_scale=0.03,
        # A phrase stands together, a single word of one does not.
        blur=3,
        num_parts=training.num_parts,
        chunk=256,
    )
    variables = jax.jit(model.init)(jax.random.key(seed), training.x[:1])
    how |= {"epochs": groups_epochs, "optimizer": 1e-3}
    result = naejax.fit(model, variables, (training.x, training.label), **how)
    return TextSOP(model, result.variables, backbone, training.classes)


def draw(fitted, texts, count=4):
    """The first texts and the groups that they are read by."""
    x = texts.x[:count]
    return plot_text_groups(
        texts.pieces[:count],
        explain_texts(fitted, x),
        classes=fitted.classes,
        y=texts.label[:count],
        rationale=texts.rationale[:count],
        removable=x[..., PART] >= 0,
        max_groups=3,
    )


def main():
    parser = make_parser(__doc__, seeds=3)
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    found, pictures = [], []
    for seed in range(seeds):
        arrays, vocabulary = load(seed, options.quick)
        fitted = train(arrays, vocabulary, seed, options.quick)
        found.append(evaluate_texts(fitted, arrays["test"], seed=seed))
        pictures.append(draw(fitted, arrays["test"]))
        print(f"seed {seed}: {found[-1]}", flush=True)
    rows = [
        [line, mean_sd([float(np.asarray(read(one))) for one in found], 3)]
        for line, read in LINES.items()
    ]
    text = table([f"{seeds} seeds", "mean ± standard deviation"], rows)
    deliver(options, "sop_text", text, {"sop_text": pictures[0]})


if __name__ == "__main__":
    main()
