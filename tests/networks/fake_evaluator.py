"""An evaluator for tests of the driver: sleeps, notes in a file that it ran, and makes up a row.

It imports nothing of torch. What it does is told by the environment: FAKE_LOG, a file that gets a
line for each evaluation that begins and ends; FAKE_SECONDS, how long one takes.
"""

import os
import time
from pathlib import Path
from typing import Any


def evaluate(message: dict[str, Any]) -> dict[str, Any]:
    log = Path(os.environ["FAKE_LOG"])
    note(log, f"begin {message['key']} {os.getpid()}")
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0.05")))
    row = made_up(message)
    note(log, f"end {message['key']} {os.getpid()}")
    return row


def made_up(message: dict[str, Any]) -> dict[str, Any]:
    """Like a row: accuracy and cost of a candidate by simple rules."""
    bits = message["candidate"]["arguments"].get("weights", (4,))
    total = sum(bits)
    if bits[0] == 13 and message["kind"] == "candidate":
        return {"error": "unlucky", "seconds": 0.0}
    cost = {"lut": 100 * total, "ff": 50, "carry": 0, "dsp": 0, "bram": 0}
    layers = {f"fc{i}": {"weight_bits": b, "input_bits": 2} for i, b in enumerate(bits)}
    return {
        "accuracy": 1 - 1 / (total + 1),
        "test_accuracy": 1 - 1 / (total + 1),
        "differing_decisions": 0,
        **cost,
        "latency": 3,
        "latency_ns": 15.0,
        "interval": message["candidate"]["interval"],
        "clock_mhz": 250.0,
        "activation_bits": 2.0,
        "stored_bits": 64 * total,
        "layers": layers,
        "nodes": dict.fromkeys(layers, cost),
        "excess": {},
        "epochs": 1,
        "seconds": float(os.environ.get("FAKE_SECONDS", "0.05")),
    }


def note(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as out:
        out.write(line + "\n")
