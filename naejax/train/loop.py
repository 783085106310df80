"""Training: jitted chunks of steps over minibatches, driven from the host.

Between two chunks the host shows progress, validates, stops early, keeps checkpoints
and hears Ctrl-C; within a chunk nothing leaves the device. The next chunk's rows are
gathered and sent meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from naejax.compiled import keep_compiled_programs
from naejax.objectives import losses
from naejax.train.batch import make_batch
from naejax.train.checkpoint import Checkpoints, keep_checkpoints
from naejax.train.checks import check_fit
from naejax.train.fingerprint import fingerprint
from naejax.train.memory import estimate_run, require_memory, usual_budget
from naejax.train.order import epoch_shape
from naejax.train.parallel import choose_devices, over_processes
from naejax.train.programs import find_programs
from naejax.train.progress import Progress, progress_bar
from naejax.train.result import FitResult
from naejax.train.shards import Plan, plan_shards
from naejax.train.shares import Shares, plan_shares
from naejax.train.step import init_state
from naejax.train.training import Training, to_result


def fit(
    model: nn.Module,
    variables: Any,
    data: tuple,
    *,
    loss: str | losses.Loss = "squared",
    optimizer: float | optax.GradientTransformation = 1e-3,
    weight_decay: float = 1e-2,
    epochs: int = 100,
    batch_size: int = 256,
    seed: int = 0,
    penalties: Mapping[str, float] | None = None,
    averaging: float = 0.0,
    validation: tuple | None = None,
    patience: int | None = None,
    device_budget: int | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    backend: str = "pmap",
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> FitResult:
    """Trains a model by minibatches and keeps the best parameters.

    Minimises the weighted mean of ``loss`` plus the weighted ``penalties``; see
    `naejax.train.step.make_train_step`. The same seed on the same machine gives bitwise
    the same parameters.

    On N devices every step splits its ``batch_size`` rows over them; batches hold the
    same rows as on one. Of several processes (`jax.distributed`) each passes rows of
    its own, and all get the same result.

    Args:
        model: a module whose ``apply`` returns `naejax.NAEOutput` or
            `naejax.SOPOutput`.
        variables: its initial variables, from ``model.init``; the collection
            ``params`` is trained, others stay as they are.
        data: ``(x, target)``, ``(x, target, weight)`` or ``(x, target, weight,
            offset)`` for `make_batch`.
        loss: name of a loss in `naejax.losses`, or any ``loss(score, target)`` that
            returns one value per row.
        optimizer: highest learning rate of `default_optimizer`, or any optax one.
        weight_decay: of `default_optimizer`.
        epochs: passes over the rows.
        batch_size: rows per step; fewer when there are fewer rows.
        seed: seed of the shuffling, dropout and Gumbel draws.
        penalties: weights of `naejax.penalties` by name.
        averaging: decay of a mean of the parameters over steps, such as 0.99, which is
            what is validated and kept in place of the last ones; 0: no mean.
        validation: like ``data``; its mean loss picks the best epoch.
        patience: epochs without a better validation loss before training stops;
            None never stops early.
        device_budget: most bytes of rows on the device; more stay on the host and are
            sent in shards, with bitwise the same result. None: half of the device's
            free memory, if it tells.
        devices: how many, or which; None: all, or the one that is set as
            ``jax_default_device``.
        backend: what runs several devices, ``pmap`` or ``shard_map``; the results are
            the same.
        checkpoints: where to keep the way so far; the same call goes on from there,
            and ends with bitwise the same parameters as if it had never stopped.
        progress: whether to show a progress bar.

    Returns:
        The best variables and the history. Ctrl-C ends training with the best so far.

    Raises:
        TrainingDivergedError: when the loss becomes NaN or infinite.
        TrainingPreemptedError: after SIGTERM, with checkpoints.
        ValueError: for rows, targets, names or numbers that cannot be used, and, before
            anything is allocated, for training that the memory is too small for.

    Example:
        >>> import jax, numpy as np
        >>> from naejax import NAE
        >>> x = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
        >>> model = NAE(num_experts=4, hidden=(16, 16))
        >>> variables = model.init(jax.random.key(0), x)
        >>> result = fit(model, variables, (x, np.sin(x[:, 0])), epochs=30,
        ...              batch_size=16, optimizer=1e-2, progress=False)
        >>> result.history[-1]["loss"] < 0.05
        True
    """
    keep_compiled_programs()
    train = make_batch(*data, on_host=True)
    check = None if validation is None else make_batch(*validation, on_host=True)
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"epochs is {epochs} and batch_size {batch_size}, expected at least 1"
        )
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}, expected at least 1 epoch")
    if patience is not None and check is None:
        raise ValueError("patience needs validation rows; pass validation=(x, target)")
    if not 0 <= averaging < 1:
        raise ValueError(f"averaging is {averaging}, expected a decay in [0, 1)")
    if device_budget is not None and device_budget < 1:
        raise ValueError(
            f"device_budget is {device_budget} bytes, expected a positive number"
        )
    loss = losses.get(loss)
    check_fit(model, variables, train, loss)
    parallel = choose_devices(devices, backend)
    row_counts = over_processes(len(train.x))
    shape = epoch_shape(sum(row_counts), batch_size)
    total_steps = epochs * shape[0] * shape[1]
    strengths = tuple((penalties or {}).items())
    asked = loss, optimizer, weight_decay, total_steps, strengths, averaging
    programs = find_programs(model, *asked, parallel)
    budget = usual_budget() if device_budget is None else device_budget
    plan: Plan | Shares
    if parallel is None:
        check_rows = 0 if check is None else programs.evaluate.chunk_rows(len(check.x))
        plan = plan_shards(train, check, shape, check_rows, budget)
    else:
        plan = plan_shares(parallel, train, row_counts, shape, budget)
    if parallel is None or parallel.is_lowerable:
        estimate = estimate_run(
            programs.run_chunk,
            programs.evaluate,
            variables,
            programs.optimizer,
            train,
            check,
            plan,
        )
        require_memory(estimate, batch_size)
    what = None
    if checkpoints is not None:
        what = fingerprint(
            variables, (train, check), (model, *asked, batch_size, seed, patience)
        )
    if not plan.on_host:
        train, check = jax.tree.map(jnp.asarray, (train, check))
    # The state is donated to the first chunk, so the caller's variables are copied.
    state = init_state(
        jax.tree.map(jnp.array, dict(variables)), programs.optimizer, seed
    )
    training = Training(
        programs, plan, train, check, sum(row_counts), shape, epochs, seed, patience
    )
    start = Progress(
        state=state,
        best=variables["params"],
        best_score=np.inf,
        best_epoch=0,
        metrics=np.zeros((3, shape[0] * shape[1]), np.float32),
        epoch=1,
        steps=0,
        history=[],
        stopped="",
    )
    silent = not progress or jax.process_index() > 0
    with (
        progress_bar(epochs, silent=silent) as bar,
        keep_checkpoints(checkpoints, what) as keeper,
    ):
        begin = keeper.restore(start)
        if parallel is not None:
            begin = begin._replace(state=parallel.same(begin.state))
        bar.update(len(begin.history))
        reached = begin
        try:
            for reached in training.run(begin):
                if reached.steps == 0:
                    bar.set_postfix(_postfix(reached), refresh=False)
                    bar.update()
                keeper.offer(reached)
            keeper.finish(reached)
        except KeyboardInterrupt:
            if jax.process_count() > 1:
                raise  # Others would go on, and wait for this one.
            reached = reached._replace(stopped="interrupted")
    constants = {k: v for k, v in variables.items() if k != "params"}
    return to_result(reached, constants)


def _postfix(progress: Progress) -> dict[str, str]:
    """What the progress bar says beside the bar."""
    row: Mapping[str, Any] = progress.history[-1]
    text = {"loss": f"{row['loss']:.4g}"}
    if row["validation"] is not None:
        text |= {
            "validation": f"{row['validation']:.4g}",
            "best": f"epoch {progress.best_epoch}",
        }
    return text
