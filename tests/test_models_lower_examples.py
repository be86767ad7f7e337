"""The examples run as their comments say, and what they make can be lowered."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bitwright.models.lower import compare, load_model, lower

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jets") / "jets.pt"
    command = [sys.executable, "examples/jet_tagger.py", str(path), "--epochs", "4"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"test accuracy ([\d.]+)%", done.stdout)
    assert accuracy is not None and float(accuracy[1]) > 60, done.stdout
    return path


def test_the_jet_tagger_is_lowered_with_its_weights(root: Path, weights: Path) -> None:
    source = f"{root}/examples/jet_tagger.py:jet_tagger"
    model = load_model(source, weights)
    lowered = lower(model, 16)
    assert lowered.graph.name == "jet_tagger"
    dense = [node for node in lowered.graph.nodes if node.kind == "dense"]
    assert [node.op.weights.values.shape for node in dense] == [
        (16, 64),
        (64, 32),
        (32, 32),
        (32, 5),
    ]
    assert [node.op.weights.width for node in dense] == [6, 4, 3, 4]
    x = np.random.default_rng(0).normal(size=(10_000, 16)).astype(np.float32)
    report = compare(model, lowered, x)
    assert report.differing <= 1e-4 * report.compared
    assert report.differing_decisions <= 1e-4 * report.decisions
    # Other weights are another network.
    assert compare(load_model(source), lowered, x).differing > 0.1 * report.compared


def test_the_command_in_the_comment_names_what_exists(root: Path) -> None:
    text = (root / "examples" / "jet_tagger.py").read_text()
    command = re.search(r"bitwright lower (\S+) --weights \S+ --input-shape (\d+)", text)
    assert command is not None
    file, _, factory = command[1].partition(":")
    model = load_model(f"{root / file}:{factory}")
    assert lower(model, int(command[2])).graph.input.shape == (int(command[2]),)
