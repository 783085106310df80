"""Sum-of-Parts around a ViT-B/16 on ImageNet, at the published settings.

Command: python experiments/sop_imagenet.py --weights FOLDER --data FOLDER [--epochs 1]
Time: days on a CPU, not measured on a GPU; --quick (a tiny ViT of random weights, noise
    for images, CI) 20 seconds.
Score: not known: neither the weights nor the images can be handed out here.

FOLDER of the weights is one of Hugging Face's (config.json and model.safetensors), such
as google/vit-base-patch16-224; that of the data was prepared by TensorFlow Datasets
(imagenet2012/5.1.0), or is an .npz file of images x (N, 224, 224, 3) and classes y. One
head, 20 groups of a fifth of the patches, blurred scores, features of a trained copy of
the ViT, AdamW at 5e-6 with 2,000 steps of warm-up, batches of 16, as released.
"""

import jax
import numpy as np
from publish import at_least_one, deliver, make_parser, table
from published import optimizer

import naejax
from naejax.data import load_images
from naejax.data.images import ImageDataset, Images
from naejax.interop import vit_from_hugging_face
from naejax.models.sop import SumOfParts
from naejax.models.vit import ViT, vit_backbone

SIDE, GROUPS = 224, 20


def mock(side=64):
    """Noise for images, and a tiny ViT of random weights."""
    rng = np.random.default_rng(0)

    def images(count):
        x = rng.uniform(-1, 1, (count, side, side, 3)).astype(np.float32)
        return Images(x, rng.integers(3, size=count).astype(np.int32))

    dataset = ImageDataset(
        "noise", "noise", ("a", "b", "c"), (), images(8), images(4), images(4)
    )
    vit = ViT(3, width=16, depth=2, heads=2, mlp=32)
    return dataset, vit, jax.jit(vit.init)(jax.random.key(0), dataset.test.x[:1])


def build(vit, variables, quick):
    """Sum-of-Parts as released for ImageNet."""
    return SumOfParts(
        vit_backbone(vit, variables),
        vit.num_outputs,
        num_groups=4 if quick else GROUPS,
        keep=0.2,
        heads=1,
        scale="signed",
        encoder="copy",
        standardise=False,
        generator_scale=0.06,
        selector_scale=0.01,
        blur=3,
        chunk=64,
    )


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--weights", help="folder of a ViT of Hugging Face")
    parser.add_argument("--data", help="folder of TensorFlow Datasets, or .npz file")
    parser.add_argument("--epochs", type=at_least_one, default=1)
    options = parser.parse_args()
    if not options.quick and not (options.weights and options.data):
        parser.error("got no --weights or no --data, expected both, or --quick")
    try:
        if options.quick:
            dataset, vit, variables = mock()
        else:
            dataset = load_images(options.data, side=SIDE)
            vit, variables = vit_from_hugging_face(options.weights)
    except ValueError as error:
        parser.error(str(error))
    if len(dataset.classes) != vit.num_outputs:
        parser.error(
            f"the images have {len(dataset.classes)} classes, the ViT "
            f"{vit.num_outputs}; take a ViT for these classes"
        )
    model, test = build(vit, variables, options.quick), dataset.test
    start = jax.jit(model.init)(jax.random.key(42), test.x[:1])
    result = naejax.fit(
        model,
        start,
        (dataset.training.x, dataset.training.target),
        loss="softmax_cross_entropy",
        optimizer=optimizer(5e-6),
        epochs=options.epochs,
        batch_size=4 if options.quick else 16,
        seed=42,
        validation=(dataset.validation.x, dataset.validation.target),
    )
    output = naejax.predict(model, result.variables, test.x)
    whole = naejax.predict(
        vit_scores(vit), {"params": {"model": variables["params"]}}, test.x
    )
    found = {"ViT": whole.prediction, "Sum-of-Parts": output.prediction}
    rows = [
        [name, f"{(scores.argmax(axis=1) == test.target).mean():.3f}"]
        for name, scores in found.items()
    ]
    rows.append(["groups used", f"{(output.selection > 0).sum(axis=1).mean():.1f}"])
    deliver(options, "sop_imagenet", table(["test images", dataset.name], rows))


def vit_scores(vit):
    """The ViT alone, as `naejax.predict` takes it."""
    from naejax.models.masking import PatchMasked

    return PatchMasked(vit, grid=(1, 1), rate=0.0)


if __name__ == "__main__":
    main()
