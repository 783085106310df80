"""Sum-of-Parts on drawn shapes with one thing changed at a time.

Command: python experiments/sop_ablation.py [--out FOLDER] [--quick]
Time: about 15 minutes on two cores for a seed; --quick 15 seconds.
Score: as trained by default, IoU of the groups 0.4 and accuracy 0.9 or more.

Every line takes away, or adds, one thing that goes beyond the published method; the
last but one takes all away. All are built around the same backbone, of each seed.
"""

from dataclasses import replace

from publish import deliver, make_parser, mean_sd, table

from naejax.data import load_images
from naejax.settings import SOPSettings
from naejax.vision import evaluate_images, fit_backbone, fit_sop

CHANGES = {
    "as trained by default": {},
    "signed scale": {"group_scale": "signed"},
    "features as they are": {"standardise": False},
    "features of the frozen backbone": {"encoder": "shared"},
    "one head": {"heads": 1},
    "no blur": {"blur": 1},
    "parts of the features' grid": {"grid": (8, 8)},
    "keep 0.2": {"keep": 0.2},
    "diversity penalty 0.3": {"diversity": 0.3},
    "features, one head, no blur, signed, keep 0.2": {
        "group_scale": "signed",
        "standardise": False,
        "heads": 1,
        "blur": 1,
        "grid": (8, 8),
        "keep": 0.2,
    },
    "sparse masks, 8 groups": {"mask": "sparse", "num_groups": 8},
}
COLUMNS = {
    "accuracy": lambda scores: scores["sop"]["accuracy"],
    "groups used": lambda scores: scores["groups"]["used"],
    "covered": lambda scores: scores["groups"]["covered"],
    "IoU of a group": lambda scores: scores["groups"]["sop"]["iou"],
    "IoU of their union": lambda scores: scores["groups"]["sop"]["union_iou"],
}


def ablate(usual, rows, seed, changes):
    """Scores by change, around one backbone."""
    images = load_images("shapes", rows=rows, seed=seed)
    print(f"seed {seed}: backbone", flush=True)
    backbone, _ = fit_backbone(images, usual, seed=seed, progress=False)
    scores = {}
    for label, change in changes.items():
        print(f"seed {seed}: {label}", flush=True)
        settings = replace(usual, **change)
        fitted, _ = fit_sop(images, backbone, settings, seed=seed, progress=False)
        scores[label] = evaluate_images(fitted, images.test, num_curves=0)
    return scores


def _spread(found, label, read):
    """A number over the seeds."""
    return mean_sd([read(scores[label]) for scores in found], 2)


def main():
    parser = make_parser(__doc__, seeds=1)
    options = parser.parse_args()
    if options.publish:
        parser.error("got --publish, but README.md has no place for it; use --out")
    usual, rows, changes = SOPSettings(epochs=2), None, CHANGES
    if options.quick:
        options.seeds, rows = 1, 100
        usual = SOPSettings(
            epochs=1, backbone_epochs=1, channels=(4, 8), hidden=(8,), num_groups=4
        )
        changes = dict(list(CHANGES.items())[:1])
    found = [ablate(usual, rows, seed, changes) for seed in range(options.seeds)]
    lines = [
        [label, *(_spread(found, label, read) for read in COLUMNS.values())]
        for label in changes
    ]
    deliver(options, "sop_ablation", table(["model", *COLUMNS], lines))


if __name__ == "__main__":
    main()
