"""Two rules for initial weights on California Housing: fan-in in x out, or in.

Command: python experiments/init_rules.py --data california_housing.csv [--seeds 3]
Time: about 6 minutes on two cores.
Score: test RMSE (100,000 USD); in x out (`small_uniform`) is what naejax uses.

Both are Kaiming's uniform rule; kernels of encoders and experts differ by the square
root of the layer's outputs. The split is that of `naejax train`.
"""

import argparse

import jax
import numpy as np

from naejax import NAE, fit, predict
from naejax.data import (
    encode,
    encode_target,
    fit_encoder,
    infer_schema,
    read_columns,
    split_rows,
)
from naejax.settings import Settings

RATES = (1e-3, 3e-3)


def usual_rule(params):
    """The same draws with fan-in in place of in x out: times sqrt(out)."""
    features = jax.tree.map(lambda a: a, params["features"])
    for name, layer in features["encoder"].items():
        if name.startswith("dense"):
            layer["kernel"] *= np.sqrt(layer["kernel"].shape[-1])
    experts = features["experts"]["dense"]
    experts["kernel"] *= np.sqrt(experts["kernel"].shape[1])
    return {**params, "features": features}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="california_housing.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    columns = read_columns(options.data)
    schema = infer_schema(columns, "MedHouseVal")
    training, validation, test = split_rows(columns, schema, seed=0)
    settings = Settings(epochs=options.epochs).for_rows(len(training["MedHouseVal"]))
    encoder = fit_encoder(training, schema)
    rows, check, unseen = (
        (encode(encoder, part), encode_target(encoder, part))
        for part in (training, validation, test)
    )
    model = NAE(top_k=settings.top_k, hidden=settings.hidden)
    for rule in ("in x out", "in"):
        for rate in RATES:
            errors, best = [], []
            for seed in range(options.seeds):
                variables = jax.jit(model.init)(jax.random.key(seed), rows[0][:1])
                if rule == "in":
                    variables = {"params": usual_rule(variables["params"])}
                result = fit(
                    model,
                    variables,
                    rows,
                    optimizer=rate,
                    epochs=settings.epochs,
                    batch_size=settings.batch_size,
                    seed=seed,
                    penalties={"expert_variance": settings.expert_variance},
                    validation=check,
                    patience=settings.patience,
                    progress=False,
                )
                output = predict(model, result.variables, unseen[0])
                error = output.prediction[:, 0] - unseen[1]
                errors.append(encoder.target_std * np.sqrt(np.square(error).mean()))
                best.append(result.best_epoch)
            print(
                f"fan-in {rule:8} rate {rate:g}: {np.mean(errors):.4f} +- "
                f"{np.std(errors, ddof=1):.4f}, best epochs {best}",
                flush=True,
            )


if __name__ == "__main__":
    main()
