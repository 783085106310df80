"""Sum-of-Parts around BERT on MultiRC, at the published settings.

Command: python experiments/sop_multirc.py --weights FOLDER [--data NAME] [--epochs 20]
Time: hours to days on a CPU, not measured on a GPU; --quick (a tiny BERT of random
    weights, made-up texts, CI) 20 seconds.
Score: not known: neither fine-tuned weights nor texts can be handed out here.

FOLDER is one of Hugging Face's with a BERT fine-tuned on the task (config.json,
model.safetensors and its tokenizer). --data is eraser_multi_rc (default),
movie_rationales, glue/sst2 or ag_news_subset, prepared by TensorFlow Datasets, or a
folder that `naejax.data.prepare_text` or it made. Sentences are the parts, the question
and answer always stay, 8 groups of a fifth of the sentences, frozen features, scales 8
and 2, AdamW at 5e-6 with 2,000 steps of warm-up, batches of 2, as released; --parts
words for the other data sets, with the release's blur of 15 steps, whose sigma is not
known. Left out: the release also hid a tenth of the tokens in training.
"""

import jax
from publish import at_least_one, deliver, make_parser, table
from published import optimizer

import naejax
from naejax import data
from naejax.interop import bert_from_hugging_face
from naejax.models.bert import BERT
from naejax.models.sop import SumOfParts
from naejax.models.text_backbone import REMOVALS, bert_backbone
from naejax.texts import TextSOP, evaluate_texts

SENTENCES = 16


def mock():
    """Made-up texts, and a tiny BERT of random weights."""
    texts = [data.make_synthetic_texts(16, seed=seed) for seed in range(3)]
    tokenizer = data.word_tokenizer(texts[0])
    size = tokenizer.get_vocab_size()
    bert = BERT(2, vocabulary=size, width=8, depth=2, heads=2, mlp=16, positions=64)
    arrays = [data.tokenize_texts(one, tokenizer, length=64) for one in texts]
    return (
        arrays,
        bert,
        jax.jit(bert.init)(jax.random.key(0), arrays[0].x[:1, :, 0].astype(int)),
    )


def read(options):
    """Training, validation and test texts as arrays, and the BERT."""
    bert, variables = bert_from_hugging_face(options.weights)
    how = {"length": 512, "parts": options.parts}
    if options.parts == "sentences":
        how["max_parts"] = SENTENCES
    arrays = [
        data.tokenize_texts(data.load_text(options.data, split), options.weights, **how)
        for split in ("train", "validation", "test")
    ]
    return arrays, bert, variables


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--weights", help="folder of a BERT of Hugging Face")
    parser.add_argument("--data", default="eraser_multi_rc", help="name or folder")
    parser.add_argument("--parts", choices=("sentences", "words"), default="sentences")
    parser.add_argument("--removal", choices=REMOVALS, default="attention")
    parser.add_argument("--epochs", type=at_least_one, default=20)
    options = parser.parse_args()
    if not options.quick and not options.weights:
        parser.error("got no --weights, expected a folder of Hugging Face, or --quick")
    try:
        arrays, bert, variables = mock() if options.quick else read(options)
    except ValueError as error:
        parser.error(str(error))
    training, validation, test = arrays
    if len(training.classes) != bert.num_outputs:
        parser.error(
            f"the texts have {len(training.classes)} classes, the BERT "
            f"{bert.num_outputs}; take one that was fine-tuned on these texts"
        )
    backbone = bert_backbone(bert, variables, options.removal)
    model = SumOfParts(
        backbone,
        bert.num_outputs,
        num_groups=8,
        keep=0.2,
        scale="signed",
        encoder="shared",
        standardise=False,
        generator_scale=8.0,
        selector_scale=2.0,
        blur=15 if options.parts == "words" else 1,
        blur_sigma=2.6,
        num_parts=training.num_parts,
        chunk=4,
    )
    start = jax.jit(model.init)(jax.random.key(42), training.x[:1])
    result = naejax.fit(
        model,
        start,
        (training.x, training.label),
        loss="softmax_cross_entropy",
        optimizer=optimizer(5e-6),
        epochs=1 if options.quick else options.epochs,
        batch_size=2,
        seed=42,
        validation=(validation.x, validation.label),
    )
    fitted = TextSOP(model, result.variables, backbone, training.classes)
    scores = evaluate_texts(fitted, test, seed=42)
    rows = [
        [name, f"{scores[name]['accuracy']:.3f}"]
        for name in ("backbone", "sop")
        if name in scores
    ]
    groups = scores["groups"]
    if "sop" in groups:
        rows.append(["IoU with the rationales", f"{groups['sop']['union_iou']:.3f}"])
        rows.append(["the same, at random", f"{groups['random']['union_iou']:.3f}"])
    for name in ("comprehensiveness", "sufficiency"):
        rows.append([name, f"{scores[name]['sop']:.3f}"])
    deliver(options, "sop_multirc", table(["test texts", options.data], rows))


if __name__ == "__main__":
    main()
