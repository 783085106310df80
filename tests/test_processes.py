"""Joining, sharing rows, speaking and ending, without a second process."""

import os
import socket
import sys

import jax
import numpy as np
import pytest

from naejax.runs import distributed, last_words
from naejax.runs.distributed import leave, run_folder, together
from naejax.train.checkpoint import TrainingPreemptedError
from naejax.train.processes import join_processes, own_part, share

LOST = "naejax: error: process 1 of 2: another process of this training ended"
# What process 1 printed when process 0 was killed, shortened.
KILLED = """\
naejax-name process 1 of 2
[Gloo] Rank 1 is connected to 1 peer ranks. Expected number is : 1
E1122 23:00:00.000001   42 coordination_service_agent.cc:289] Polled an error from it.
F1122 23:00:00.000002   42 client.h:80] Terminating process because of fatal errors.
Additional GRPC error information from remote target coordination_service:
:UNKNOWN:Error received from peer  {grpc_message:"Socket closed", grpc_status:14}
*** Check failure stack trace: ***
    @     0x7f0912040634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""
# What process 0 printed when nobody else came.
ALONE = """\
F1122 23:00:00.000001   42 client.h:86] Terminating process because of fatal errors.

RPC: /xla.coordination.CoordinationService/RegisterTask
=== Source Location Trace: ===
"""


@pytest.fixture
def processes(monkeypatch):
    """Makes JAX say that there are so many processes, and which one this is."""

    def pretend(count, process):
        monkeypatch.setattr(jax, "process_count", lambda: count)
        monkeypatch.setattr(jax, "process_index", lambda: process)

    return pretend


@pytest.fixture
def joined(monkeypatch, processes):
    """Process 1 of 2, with the calls to JAX's runtime that it makes."""
    calls = []
    state = {"on": False}

    def join(*_):
        state["on"] = True

    def shut_down():
        state["on"] = False
        calls.append("shutdown")

    def exit_now(status):
        state["on"] = False
        calls.append(status)
        raise SystemExit(status)

    processes(2, 1)
    monkeypatch.setattr(distributed, "join_processes", join)
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: state["on"])
    monkeypatch.setattr(jax.distributed, "shutdown", shut_down)
    monkeypatch.setattr(os, "_exit", exit_now)
    return calls


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [4, 5, 6, 7, 11])
def test_processes_share_rows_as_numpy_splits_them(processes, count, rows):
    x = np.arange(2 * rows).reshape(rows, 2)
    for process, expected in enumerate(np.array_split(x, count)):
        processes(count, process)
        own, nothing = own_part((x, None))
        assert np.array_equal(own, expected)
        assert nothing is None
    assert share(rows, count, count - 1)[1] == rows


def test_fewer_rows_than_processes_are_refused(processes):
    processes(4, 0)
    with pytest.raises(ValueError, match=r"^3 rows .* 4 processes; start fewer"):
        own_part(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("localhost", 2, 0), "'localhost', expected HOST:PORT"),
        (("localhost:http", 2, 0), "'localhost:http', expected HOST:PORT"),
        (("localhost:80", 0, 0), "got 0 processes, expected at least 1"),
        (("localhost:80", 2, 2), "this is process 2 of 2, expected a number from 0"),
        ((None, None, -1), "this is process -1, expected a number from 0"),
        (("localhost:99999", 2, 0), "'localhost:99999', expected HOST:PORT"),
    ],
)
def test_mistakes_in_joining_are_one_line(monkeypatch, arguments, message):
    monkeypatch.setattr(jax.distributed, "initialize", pytest.fail)
    with pytest.raises(ValueError, match=message) as error:
        join_processes(*arguments)
    assert "\n" not in str(error.value)


def test_a_port_that_is_taken_is_refused(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", pytest.fail)
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} .*in use.*pass a free port"):
            join_processes(f"localhost:{port}", 2, 0)


def test_what_is_not_known_is_left_to_jax(monkeypatch):
    asked = []
    monkeypatch.setattr(
        jax.distributed, "initialize", lambda *a, **options: asked.append((a, options))
    )
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    join_processes(process_id=1)
    join_processes(num_processes=2, process_id=1)
    (first, options), (_, explicit) = asked
    assert first == ("host:1", None, 1)
    assert options["cluster_detection_method"] is None
    assert explicit["cluster_detection_method"] == "deactivate"
    assert options["heartbeat_timeout_seconds"] < 60
    # JAX's own service would take SIGTERM and go on.
    assert not jax.config.jax_enable_preemption_service


def test_processes_that_jax_cannot_find_are_told_how(monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", "SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri"):
        monkeypatch.delenv(name, raising=False)

    def nowhere(*_, **__):
        raise ValueError("coordinator_address should be defined.\nand more")

    monkeypatch.setattr(jax.distributed, "initialize", nowhere)
    with pytest.raises(ValueError, match=r"defined\); pass --coordinator") as error:
        join_processes()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plain\nlines\n", ["plain\n", "lines\n"]),
        (KILLED, [LOST]),
        ("naejax-name process 1 of 2\nnaejax-lost\n" + KILLED, [LOST]),
        (ALONE, ["naejax: error: the processes did not find each other in time"]),
        ("W1122 23:00:00.000001   42 cpu.cc:1] old\n", ["W1122"]),
        ("E1122 23:00:00.000001   42 client.h:1] a\nb\n", []),
        ("", []),
    ],
)
def test_what_the_runtime_says_comes_to_one_line(text, lines):
    said = list(last_words.plain_words(text.splitlines(keepends=True)))
    assert len(said) == len(lines)
    assert all(map(str.startswith, said, lines))


def test_others_are_silent_and_end_together(joined, capfd):
    with together():
        print("said by process 1")
        os.write(1, b"[Gloo] Rank 1 is connected to 1 peer ranks.\n")
        os.write(2, b"said by the runtime\n")
        print("a warning", file=sys.stderr)
    assert joined == ["shutdown"]
    print("afterwards")
    out, err = capfd.readouterr()
    assert out == "afterwards\n"
    assert sorted(err.splitlines()) == ["a warning", "said by the runtime"]


def test_a_mistake_tells_its_process(joined):
    message = "^process 1 of 2: no such file$"
    with pytest.raises(ValueError, match=message), together():
        jax.distributed.shutdown()  # So that the streams come back.
        raise FileNotFoundError("no such file")


def test_a_process_that_others_wait_for_leaves_at_once(joined):
    with pytest.raises(SystemExit):
        leave(3)
    assert joined == []
    distributed.join_processes()
    with pytest.raises(SystemExit):
        leave(2)
    assert joined == [2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed"), LOST),
        (RuntimeError("NCCL operation failed: remote process exited"), LOST),
        (TypeError("a bug"), "Traceback"),
    ],
)
def test_what_cannot_go_on_ends_at_once(joined, capfd, error, said):
    with pytest.raises(SystemExit), together():
        raise error
    assert joined == [1]
    assert capfd.readouterr().err.startswith(said)


def test_all_are_preempted_together(joined):
    with pytest.raises(TrainingPreemptedError), together():
        raise TrainingPreemptedError("saved")
    assert joined == ["shutdown"]


def test_only_process_0_makes_a_folder(processes, tmp_path):
    for process in (1, 0):
        processes(2, process)
        with run_folder(tmp_path / "run", marker="model") as folder:
            (folder / "model").write_text(str(process))
        assert (tmp_path / "run").exists() == (process == 0)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "model").read_text() == "0"
