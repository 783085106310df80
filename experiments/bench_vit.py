"""Sum-of-Parts on a ViT-B/16: dropped patches, memory, and the public PyTorch code.

Command: python experiments/bench_vit.py [--reference CHECKOUT] [--publish]
Time: 9 minutes with --reference, beside other work; --quick half a minute.
Score: dropped patches 4 times as fast as patches of 0, 5 times as fast as the public
    code; memory grows with the images at once, not with the groups.

20 groups of a fifth of the patches each, 4 images of 224 x 224, random weights, a
frozen backbone whose own features make the groups. --reference takes a checkout of the
authors' library (torch and transformers must be installed) and times it on the same
weights in the same run; its predictions must agree first. It makes groups from a copy
of the backbone, which computes the same.
"""

import importlib
import tempfile
from collections import namedtuple

import jax
import numpy as np
from bench_sop import import_reference, median_times
from publish import deliver, make_parser, table

from naejax.models.sop import SumOfParts
from naejax.models.vit import ViT, vit_backbone

BATCH, GROUPS, SIDE, OUTPUTS, CHUNK = 4, 20, 224, 1000, 8
GENERATOR_SCALE, SELECTOR_SCALE = 0.06, 0.01


def wrap(vit, variables, drop_tokens, **settings):
    """Sum-of-Parts around a ViT."""
    settings = {"num_groups": GROUPS, "chunk": CHUNK, **settings}
    return SumOfParts(
        vit_backbone(vit, variables, drop_tokens),
        vit.num_outputs,
        keep=0.2,
        encoder="shared",
        scale="signed",
        standardise=False,
        generator_scale=GENERATOR_SCALE,
        selector_scale=SELECTOR_SCALE,
        **settings,
    )


def reference(checkout, vit, variables, generator, side):
    """The authors' forward pass on the same weights, as a function of images."""
    torch, hugging = map(importlib.import_module, ("torch", "transformers"))
    sop = import_reference(checkout)
    config = hugging.ViTConfig(
        image_size=side,
        num_labels=vit.num_outputs,
        layer_norm_eps=vit.epsilon,
        num_hidden_layers=vit.depth,
        hidden_size=vit.width,
        num_attention_heads=vit.heads,
        intermediate_size=vit.mlp,
    )
    net = hugging.ViTForImageClassification(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        from naejax.interop import vit_from_hugging_face

        variables["params"] = vit_from_hugging_face(folder)[1]["params"]
    Output = namedtuple("Output", ["logits", "pooler_output"])

    class Scores(torch.nn.Module):
        def forward(self, x):
            h = net.vit(x).last_hidden_state[:, 0]
            return Output(net.classifier(h), h)

    class Features(torch.nn.Module):
        def forward(self, x):
            h = net.vit(x, output_hidden_states=True).hidden_states[-2][:, 1:]
            grid = side // vit.patch
            return h.transpose(1, 2).reshape(len(x), -1, grid, grid)

    settings = sop.SOPConfig(
        hidden_size=vit.width,
        num_labels=vit.num_outputs,
        num_heads=1,
        num_masks_sample=GROUPS,
        image_size=(side, side),
        num_channels=3,
        group_gen_scale=GENERATOR_SCALE,
        group_sel_scale=SELECTOR_SCALE,
        group_gen_blur_ks1=1,
        group_gen_blur_sigma1=1,
    )
    model = sop.SOPImageCls(settings, Scores(), net.classifier.weight, Features())
    model.eval()
    query, key = (np.asarray(generator[name][0]).T for name in ("query", "key"))
    with torch.no_grad():
        head = model.input_attn.multihead_attns[0]
        stacked = np.concatenate([np.zeros_like(key), key, query])
        head.input_weights.copy_(torch.tensor(stacked))

    def forward(x):
        images = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            return model(images, mask_batch_size=CHUNK).numpy()

    return forward


def prediction(model):
    """The forward pass as a function of variables and images."""
    return lambda variables, x: model.apply(variables, x).prediction


def start(model, plain, x):
    """Initial variables; the backbone's go in as arguments, not as constants."""

    def init(key, params):
        return wrap(model, {"params": params}, False).init(key, x[:1])

    return jax.jit(init)(jax.random.key(1), plain["params"])


def memory(model, variables, x):
    """Temporary megabytes of a forward pass."""
    compiled = jax.jit(prediction(model)).lower(variables, x).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--reference", help="checkout of the authors' exlib")
    options = parser.parse_args()
    vit, side, repeats = ViT(OUTPUTS), SIDE, 3
    if options.quick:
        vit = ViT(OUTPUTS, width=48, depth=2, heads=2, mlp=96)
        side, repeats = 96, 1
    x = jax.random.normal(jax.random.key(2), (BATCH, side, side, 3))
    plain = dict(jax.jit(vit.init)(jax.random.key(0), x[:1]))
    variables = start(vit, plain, x)
    generator, runs = variables["params"]["generator"], {}
    if options.reference:
        theirs = reference(options.reference, vit, plain, generator, side)
        runs["public code"] = lambda: theirs(x)
        variables = start(vit, plain, x)
    for name, drop in (("removed patches are 0", False), ("are dropped", True)):
        forward = jax.jit(prediction(wrap(vit, plain, drop)))
        runs[name] = lambda f=forward: f(variables, x).block_until_ready()
    found = {name: np.asarray(run()) for name, run in runs.items()}
    if options.reference:
        error = np.abs(found["removed patches are 0"] - found["public code"]).max()
        print(f"largest difference to the public code's prediction: {error:.1e}")
        if error > 1e-4:
            raise SystemExit("the two do not compute the same; nothing to compare")
    times = median_times(runs, repeats)
    slowest = max(times.values())
    rows = [
        [name, f"{seconds:.2f}", f"{slowest / seconds:.1f}"]
        for name, seconds in times.items()
    ]
    text = table(["forward pass", "s", "times as fast as the slowest"], rows)
    sizes = ((8, 4), (20, 4)) if options.quick else ((20, 4), (20, 16), (80, 4))
    lines = []
    for groups, chunk in sizes:
        for drop in (False, True):
            model = wrap(vit, plain, drop, num_groups=groups, chunk=chunk)
            used = memory(model, variables, x)
            lines.append([groups, chunk, "dropped" if drop else "0", f"{used:,.0f}"])
    head = ["groups", "masked images at once", "removed patches", "temporary MB"]
    deliver(options, "bench_vit", f"{text}\n\n{table(head, lines)}")


if __name__ == "__main__":
    main()
