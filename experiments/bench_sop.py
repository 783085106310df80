"""Sum-of-Parts on the CosmoGrid CNN: time, memory, and the public PyTorch code.

Command: python experiments/bench_sop.py [--reference CHECKOUT]
Time: about 2 minutes on two cores; 3 with --reference.
Score: time beyond the backbone's own passes under 15 %; memory that hardly grows
with the groups; at least 3x the reference's forward and 1.5x its training step.

20 groups, 16 maps of 66 x 66, 4 heads on a trainable copy of the CNN: the published
setting. --reference takes a checkout of the authors' library (torch must be installed)
and times it on the same weights in the same run; its predictions must agree first.
"""

import argparse
import copy
import importlib
import sys
import time
import types
from collections import namedtuple
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from naejax import losses
from naejax.models.cnn import cnn_backbone, cosmogrid_cnn
from naejax.models.sop import SumOfParts
from naejax.ops.grouping import head_groups
from naejax.train.batch import Batch
from naejax.train.step import init_state, make_train_step

BATCH, GROUPS, HEADS, SIDE = 16, 20, 4, 66
GENERATOR_SCALE, SELECTOR_SCALE = 0.06, 10.0


def median_times(runs, repeats):
    """Median seconds of each call; calls take turns, so that noise hits all alike."""
    times = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(t)) for name, t in times.items()}


class OneHead:
    """The model as its published training runs it: the groups of one head."""

    def __init__(self, model):
        self.model = model
        self.groups = head_groups(0, 14 * 14, GROUPS)

    def apply(self, variables, x, **options):
        return self.model.apply(variables, x, groups=self.groups, **options)


def build(num_groups=GROUPS, chunk=32):
    """The model of the published setting and its variables."""
    cnn = cosmogrid_cnn()
    x = jnp.zeros((1, SIDE, SIDE, 1))
    backbone = cnn_backbone(cnn, jax.jit(cnn.init)(jax.random.key(0), x))
    model = SumOfParts(
        backbone,
        2,
        num_groups=num_groups,
        heads=HEADS,
        encoder="copy",
        scale="signed",
        standardise=False,
        generator_scale=GENERATOR_SCALE,
        selector_scale=SELECTOR_SCALE,
        chunk=chunk,
    )
    return model, jax.jit(model.init)(jax.random.key(1), x)


def our_runs(model, variables, x, y):
    """Forward pass, training step, and the backbone's own passes in each."""
    apply, params = model.backbone.apply, model.backbone.params
    forward = jax.jit(lambda v, x: model.apply(v, x).prediction)
    step = make_train_step(OneHead(model), losses.squared, optax.adamw(5e-6), {})
    step = jax.jit(step, donate_argnums=0)
    state = [init_state(jax.tree.map(jnp.copy, variables), optax.adamw(5e-6), 0)]
    masked = jnp.repeat(x, GROUPS, axis=0)

    def pass_of(chunk):
        return jax.jit(
            lambda p, x: jnp.concatenate(
                [apply(p, x[i : i + chunk]).scores for i in range(0, len(x), chunk)]
            )
        )

    plain = pass_of(model.chunk)
    features = jax.jit(jax.grad(lambda p, x: jnp.square(apply(p, x).features).sum()))

    def train():
        state[0], metrics = step(state[0], Batch(x, y, jnp.ones(len(x))))
        jax.block_until_ready(metrics)

    return {
        "forward": lambda: forward(variables, x).block_until_ready(),
        "training step": train,
        f"{BATCH * GROUPS} passes": lambda: plain(params, masked).block_until_ready(),
        "encoder, forward": lambda: plain(params, x).block_until_ready(),
        "encoder, gradient": lambda: jax.block_until_ready(features(params, x)),
    }


def import_reference(checkout):
    """The authors' module, without the parts of it that a benchmark does not need."""
    root = Path(checkout) / "src/exlib/modules"
    if not (root / "sop.py").is_file():
        raise SystemExit(f"{checkout} is not a checkout of exlib: no {root / 'sop.py'}")
    torch = importlib.import_module("torch")
    stubs = {
        "torchvision": {"transforms": _transforms()},
        "transformers": {"PretrainedConfig": _Config, "PreTrainedModel": _model(torch)},
        "matplotlib": {},
        "matplotlib.pyplot": {},
    }
    for name, members in stubs.items():
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(members)
    package = types.ModuleType("sop_reference")
    package.__path__ = [str(root)]
    sys.modules["sop_reference"] = package
    return importlib.import_module("sop_reference.sop")


def _transforms():
    """Stands in for a blur of one step, which changes nothing."""
    functional = types.SimpleNamespace(gaussian_blur=lambda x, size, sigma: x)
    return types.SimpleNamespace(functional=functional)


class _Config:
    """Stands in for a configuration class of another library."""

    def __init__(self, **kwargs):
        pass


def _model(torch):
    """Stands in for a model class of another library."""

    class Model(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config

    return Model


def torch_cnn(params):
    """The CosmoGrid CNN in torch, with the weights of ours."""
    torch = importlib.import_module("torch")
    Output = namedtuple("Output", ["logits", "pooler_output"])

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [(1, 16), (16, 32), (32, 48)]
            self.convs = torch.nn.ModuleList(torch.nn.Conv2d(*s, 4) for s in sizes)
            widths = [(1200, 128), (128, 64), (64, 32)]
            self.dense = torch.nn.ModuleList(torch.nn.Linear(*w) for w in widths)
            self.classifier = torch.nn.Linear(32, 2)

        def maps(self, x, blocks):
            for conv in self.convs[:blocks]:
                x = torch.nn.functional.leaky_relu(conv(x), 0.01)
                x = torch.nn.functional.max_pool2d(x, 2)
            return x

        def forward(self, x):
            h = self.maps(x, 3).flatten(1)
            for layer in self.dense:
                h = torch.nn.functional.leaky_relu(layer(h), 0.01)
            return Output(self.classifier(h), h)

    class Features(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net.maps(x, 2)

    net = Net()
    with torch.no_grad():
        layers = [*net.convs, *net.dense, net.classifier]
        names = [f"conv_{i}_0" for i in range(3)] + [f"dense_{i}" for i in range(3)]
        for name, layer in zip([*names, "classifier"], layers, strict=True):
            kernel = np.asarray(params[name]["kernel"])
            if kernel.ndim == 4:
                kernel = kernel.transpose(3, 2, 0, 1)
            elif kernel.shape[0] == 1200:  # theirs flattens channels first
                kernel = kernel.reshape(5, 5, 48, 128).transpose(2, 0, 1, 3)
                kernel = kernel.reshape(1200, 128).T
            else:
                kernel = kernel.T
            layer.weight.copy_(torch.tensor(np.array(kernel)))
            layer.bias.copy_(torch.tensor(np.array(params[name]["bias"])))
    return net, Features(copy.deepcopy(net))


def reference_runs(checkout, variables, x, y):
    """The authors' forward pass and training step on the same weights."""
    torch = importlib.import_module("torch")
    sop = import_reference(checkout)
    net, features = torch_cnn(variables["backbone"]["params"])
    config = sop.SOPConfig(
        hidden_size=32,
        num_labels=2,
        num_heads=HEADS,
        num_masks_sample=GROUPS,
        image_size=(SIDE, SIDE),
        num_channels=1,
        group_gen_scale=GENERATOR_SCALE,
        group_sel_scale=SELECTOR_SCALE,
        group_gen_blur_ks1=1,
        group_gen_blur_sigma1=1,
    )
    model = sop.SOPImageCls(config, net, net.classifier.weight, features)
    generator = variables["params"]["generator"]
    with torch.no_grad():
        for head, module in enumerate(model.input_attn.multihead_attns):
            query, key = (np.asarray(generator[n][head]).T for n in ("query", "key"))
            stacked = np.concatenate([np.zeros_like(key), key, query])
            module.input_weights.copy_(torch.tensor(stacked))
    images = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())
    target = torch.tensor(np.asarray(y))
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], 5e-6
    )

    def forward():
        model.eval()
        with torch.no_grad():
            return model(images, mask_batch_size=64).numpy()

    def train():
        model.train()
        optimizer.zero_grad()
        prediction = model(images, epoch=0, mask_batch_size=64)
        torch.nn.functional.mse_loss(prediction, target).backward()
        optimizer.step()

    def passes():
        masked = images.repeat_interleave(GROUPS, 0)
        with torch.no_grad():
            for i in range(0, len(masked), 64):
                net(masked[i : i + 64])

    return {"forward": forward, "training step": train, "passes": passes}


def show_memory(x, groups, chunks):
    """Temporary memory and images/s as groups and chunks grow."""
    print(f"\n{'groups':>7}{'chunk':>7}{'temporary MB':>14}{'masked images/s':>17}")
    for num_groups in groups:
        for chunk in chunks:
            model, variables = build(num_groups, chunk)
            run = jax.jit(lambda v, x, m=model: m.apply(v, x).contributions)
            compiled = run.lower(variables, x).compile()
            memory = compiled.memory_analysis().temp_size_in_bytes / 1e6
            compiled(variables, x).block_until_ready()
            once = {"": lambda c=compiled, v=variables: c(v, x).block_until_ready()}
            seconds = median_times(once, 3)[""]
            speed = len(x) * num_groups / seconds
            print(f"{num_groups:>7}{chunk:>7}{memory:>14.1f}{speed:>17,.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", help="checkout of the authors' exlib")
    parser.add_argument("--quick", action="store_true", help="one repetition, for CI")
    options = parser.parse_args()
    repeats = 2 if options.quick else 15
    x = jax.random.normal(jax.random.key(2), (BATCH, SIDE, SIDE, 1))
    y = jax.random.uniform(jax.random.key(3), (BATCH, 2))
    model, variables = build()
    runs = our_runs(model, variables, x, y)
    if options.reference:
        theirs = reference_runs(options.reference, variables, x, y)
        error = np.abs(model.apply(variables, x).prediction - theirs["forward"]()).max()
        print(f"largest difference to the reference's prediction: {error:.1e}")
        if error > 1e-4:
            raise SystemExit("the two do not compute the same; nothing to compare")
        runs |= {f"reference, {name}": run for name, run in theirs.items()}
    for run in runs.values():
        run()
    ms = {name: 1e3 * t for name, t in median_times(runs, repeats).items()}
    for name, value in ms.items():
        print(f"{name:28}{value:9.1f} ms")
    passes = ms[f"{BATCH * GROUPS} passes"]
    for name, encoder in (("forward", "forward"), ("training step", "gradient")):
        beyond = ms[name] - passes
        rest = beyond - ms[f"encoder, {encoder}"]
        print(
            f"{name}: {beyond / ms[name]:.0%} beyond the passes on masked maps, "
            f"{rest / ms[name]:.0%} beyond the encoder's pass as well"
        )
        if options.reference:
            ratio = ms[f"reference, {name}"] / ms[name]
            print(f"{name}: {ratio:.1f}x the reference")
    groups, chunks = ((20, 40), (32,)) if options.quick else ((20, 100, 400), (16, 64))
    show_memory(x[:4], groups, chunks)


if __name__ == "__main__":
    main()
