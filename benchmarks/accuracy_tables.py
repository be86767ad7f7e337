"""The tables of docs/experiments.md from docs/results.

    python -m benchmarks.accuracy_tables [--write]

prints them, or writes each behind its mark in the document, such as <!-- table: mnist -->.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.accuracy import RATES, RESULTS, read_table

DOCUMENT = Path("docs/experiments.md")
WEIGHTS = {
    "float": "float",
    "binary": "binary",
    "tiled_p4": "tiled, p = 4",
    "binary_h32": "binary, 32 neurons",
    "tiled_p8": "tiled, p = 8",
    "binary_h16": "binary, 16 neurons",
    "tiled_p16": "tiled, p = 16",
}
NETWORKS = {
    "mnist_mlp": "MLP",
    "mnist_cnn": "CNN",
    "cifar10_resnet18_short": "ResNet-18, narrow and short",
}


def tables(folder: Path = RESULTS) -> dict[str, str]:
    """Every table by its name, as Markdown."""
    trained = read_table(folder / "accuracy.csv")
    luts = {row["row"]: _cost(row) for row in read_table(folder / "luts.csv")}
    return {
        "mnist": _mnist([r for r in trained if r["network"].startswith("mnist")], luts),
        "cifar10": _cifar10([r for r in trained if r["network"].startswith("cifar10")]),
        "bottlenecks": _bottlenecks(read_table(folder / "bottlenecks.csv")),
    }


def _mnist(rows: Sequence[dict[str, str]], luts: dict[str, str]) -> str:
    made = []
    for network in NETWORKS:
        for key, title in WEIGHTS.items():
            found = {
                row["activations"]: row
                for row in rows
                if row["network"] == network and row["weights"] == key
            }
            if not found:
                continue
            first = next(iter(found.values()))
            bits = int(first["stored_bits"])
            made.append(
                [
                    NETWORKS[network],
                    title,
                    f"{float(first['bits_per_weight']):.3f}",
                    f"{bits:,}",
                    *(
                        _percent(found[a]["accuracy"]) if a in found else ""
                        for a in ("32", "8", "4")
                    ),
                    *(luts.get(found[a]["row"], "") if a in found else "" for a in ("8", "4")),
                ]
            )
    head = ["network", "weights", "bits per weight", "stored bits", "float activations", "8 bits",
            "4 bits", "LUT, 8 bits", "LUT, 4 bits"]  # fmt: skip
    return _markdown(head, made)


def _cifar10(rows: Sequence[dict[str, str]]) -> str:
    made = [
        [
            WEIGHTS[row["weights"]],
            f"{float(row['bits_per_weight']):.3f}",
            _percent(row["accuracy"]),
            row["epochs"],
        ]
        for row in rows
    ]
    return _markdown(["weights", "bits per weight", "accuracy", "epochs"], made)


def _bottlenecks(rows: Sequence[dict[str, str]]) -> str:
    made = []
    for network in NETWORKS:
        for rate in RATES:
            found = {
                r["kind"]: r for r in rows if (r["network"], r["rate"]) == (network, str(rate))
            }
            if set(found) != {"uniform", "bitplanes"}:
                continue
            uniform, planes = found["uniform"], found["bitplanes"]
            a, b = float(uniform["accuracy"]), float(planes["accuracy"])
            made.append(
                [
                    NETWORKS[network],
                    str(rate),
                    _percent(uniform["float_accuracy"]),
                    _percent(uniform["accuracy_before_tuning"]),
                    _percent(planes["accuracy_before_tuning"]),
                    _percent(uniform["accuracy"]),
                    _percent(planes["accuracy"]),
                    "draw" if a == b else "uniform" if a > b else "bit planes",
                ]
            )
    head = ["network", "bits, at most", "float", "uniform, at once", "bit planes, at once",
            "uniform, tuned", "bit planes, tuned", "winner"]  # fmt: skip
    return _markdown(head, made)


def _percent(share: str) -> str:
    return f"{100 * float(share):.2f}"


def _cost(row: dict[str, str]) -> str:
    blocks = f" and {row['bram']} BRAM" if int(row["bram"]) else ""
    return f"{int(row['lut']):,}{blocks}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(text: str, made: dict[str, str]) -> str:
    """A document with every table behind its mark, in place of the table that was there."""
    for name, table in made.items():
        mark = f"<!-- table: {name} -->"
        found = re.search(rf"{mark}\n\n(\|.*\n)*", text)
        if found is not None:
            text = f"{text[: found.start()]}{mark}\n\n{table}\n{text[found.end() :]}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy_tables")
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT}")
    if parser.parse_args().write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), tables()), "utf-8")
        return
    for name, table in tables().items():
        print(f"{name}\n\n{table}\n")


if __name__ == "__main__":
    main()
