"""The devices that train one model together, and programs that run on all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"
BACKENDS = ("pmap", "shard_map")


@dataclass(frozen=True)
class DataParallel:
    """Devices that share the rows of every batch, and hold the same parameters.

    Attributes:
        devices: of all processes.
        backend: ``pmap`` or ``shard_map``; both give the same results.
    """

    devices: tuple[jax.Device, ...]
    backend: str = "pmap"

    @cached_property
    def own_devices(self) -> list[jax.Device]:
        """The devices of this process."""
        return [d for d in self.devices if d.process_index == jax.process_index()]

    @property
    def axis_name(self) -> str | None:
        """The axis to sum over; None for one device, whose own sum costs time, too."""
        return AXIS if len(self.devices) > 1 else None

    @property
    def is_lowerable(self) -> bool:
        """Whether a program can be compiled before there are arguments.

        Of several processes, `jax.pmap` would send the shapes it is given.
        """
        return self.backend != "pmap" or jax.process_count() == 1

    @cached_property
    def _mesh(self) -> Mesh:
        """The devices whose arrays a program takes: for pmap those of this process."""
        devices = self.own_devices if self.backend == "pmap" else self.devices
        return Mesh(np.array(devices), (AXIS,))

    def program(
        self, function: Callable[..., Any], *, donate: bool = False
    ) -> Callable[..., Any]:
        """Compiles ``function(same, own, number)`` for all devices.

        Args:
            function: sums over `axis_name` whatever it returns, so that its result is
                the same on all devices.
            donate: whether the first argument may be overwritten.

        Returns:
            The program of `same` arrays, `split` arrays and a number.
        """
        donated = (0,) if donate else ()
        if self.backend == "pmap":
            return jax.pmap(
                function,
                AXIS,
                in_axes=(None, 0, None),
                out_axes=None,
                devices=self.devices,
                donate_argnums=donated,
            )

        def on_one_device(same, own, number):
            return function(same, jax.tree.map(lambda a: a[0], own), number)

        everywhere, apart = PartitionSpec(), PartitionSpec(AXIS)
        mapped = jax.shard_map(
            on_one_device,
            mesh=self._mesh,
            in_specs=(everywhere, apart, everywhere),
            out_specs=everywhere,
            # With the check, gradients of what is the same everywhere are summed twice.
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=donated)

    def same(self, tree: Any) -> Any:
        """Copies a tree to every device.

        Args:
            tree: arrays; the same ones in every process.

        Returns:
            Arrays that every device has whole.
        """
        everywhere = NamedSharding(self._mesh, PartitionSpec())
        # A program, because device_put cannot send random keys to other processes.
        copy = jax.jit(partial(jax.tree.map, jax.numpy.copy), out_shardings=everywhere)
        return copy(tree)

    def split(self, tree: Any) -> Any:
        """Gives every device its own part of a tree.

        Args:
            tree: arrays on the host, one part for each of `own_devices`, axis 0.

        Returns:
            The arrays, their parts on the devices.
        """
        sharding = NamedSharding(self._mesh, PartitionSpec(AXIS))
        if self.backend == "pmap":
            return jax.device_put(tree, sharding)
        return jax.tree.map(
            lambda a: jax.make_array_from_process_local_data(sharding, a), tree
        )

    def shapes(self, tree: Any, *, split: bool) -> Any:
        """What `same` or `split` would give, as shapes.

        Args:
            tree: arrays or shapes.
            split: whether one part for each of `own_devices` lies along axis 0.

        Returns:
            The shapes, with where they lie.
        """
        spec = PartitionSpec(AXIS) if split else PartitionSpec()
        sharding, parts = NamedSharding(self._mesh, spec), self._mesh.size

        def shape(a):
            whole = (parts, *a.shape[1:]) if split else a.shape
            return jax.ShapeDtypeStruct(whole, a.dtype, sharding=sharding)

        return jax.tree.map(shape, tree)


def choose_devices(
    devices: int | Sequence[jax.Device] | None, backend: str = "pmap"
) -> DataParallel | None:
    """The devices to train on.

    Args:
        devices: how many, or which; None: all, or the one that is set as
            ``jax_default_device``.
        backend: ``pmap`` or ``shard_map``.

    Returns:
        The devices, or None for a single one that is not named: it needs none of this.

    Raises:
        ValueError: if there are not so many, or no such backend.

    Example:
        >>> choose_devices(1) is None
        True
        >>> len(choose_devices(jax.devices()).devices) == jax.device_count()
        True
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {list(BACKENDS)}")
    known = jax.devices()
    if jax.process_count() > 1:
        if devices is not None:
            raise ValueError(
                f"devices is {devices!r}, but {jax.process_count()} processes train "
                "together, on all of their devices; leave devices out"
            )
        return DataParallel(tuple(known), backend)
    if devices is None:
        config: Any = jax.config
        devices = len(known) if config.jax_default_device is None else 1
    if isinstance(devices, int):
        if not 1 <= devices <= len(known):
            raise ValueError(
                f"devices is {devices}, expected 1 to {len(known)}: as many as "
                "jax.devices() lists"
            )
        return None if devices == 1 else DataParallel(tuple(known[:devices]), backend)
    chosen = tuple(devices)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(
            f"devices is {devices!r}, expected a number, or different ones of "
            "jax.devices()"
        )
    return DataParallel(chosen, backend)


def over_processes(value: int) -> tuple[int, ...]:
    """A number of this process beside those of the others, in their order.

    Args:
        value: of this process.

    Returns:
        One number per process.

    Example:
        >>> over_processes(7)
        (7,)
    """
    if jax.process_count() == 1:
        return (value,)
    # As two numbers of 31 bits: without x64, JAX has no longer ones.
    halves = np.array(divmod(value, 2**31), np.int32)
    gathered = np.asarray(multihost_utils.process_allgather(halves), np.int64)
    return tuple(int(high * 2**31 + low) for high, low in gathered)
