"""Mutants of emitters: what is right is not killed, what is wrong is."""

import json
import subprocess
import sys
from pathlib import Path

from trust import engines
from trust.emitters import EMITTERS, ROOM
from trust.handmade import handmade
from trust.python_mutants import python_mutants

# In a process of its own: the adder-graph solver's threads would not live on in its forks.
JUDGED = """
import json, sys
from pathlib import Path
from trust.battery import chosen
from trust.emitters import Emitter, ROOM, SEED, engines, network
from trust.python_mutants import python_mutants
name, number = sys.argv[1], chosen()[sys.argv[2]][0]
source = (ROOM / f"{name}.py").read_text()
mutants = [text for what, text in python_mutants(source) if sys.argv[3] in what]
comment = source.replace('"// ', '"// And ') + "\\n# the same\\n"
cases = [engines.case(network(SEED, number), number)]
found = Emitter(name, cases, Path(sys.argv[4])).judged([source, comment, "1 / 0", *mutants])
print(json.dumps(found))
"""
PASSED = """
import sys
from pathlib import Path
from trust.emitters import ROOM, passes
right = (ROOM / "text.py").read_text()
wrong = right.replace("made.width <= kind.width", "made.width < kind.width")
print(*(passes("text", text, Path(sys.argv[1]) / "tests") for text in (right, wrong)))
"""


def judged(emitter: str, cell: str, what: str, folder: Path) -> list[str]:
    command = [sys.executable, "-c", JUDGED, emitter, cell, what, str(folder)]
    done = subprocess.run(command, cwd=ROOM.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made: list[str] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_what_is_right_lives_and_what_is_wrong_is_killed(tmp_path: Path) -> None:
    same, comment, raises, *wrong = judged("loading", "bw_loader", "node.name not in", tmp_path)
    assert (same, comment, raises) == ("alike", "alike", "raises")
    assert wrong == ["raises", "raises"]  # of the words that are loaded


def test_comments_alone_are_no_difference(tmp_path: Path) -> None:
    same, comment, raises = judged("emit", "bw_pipe", "no such mutant", tmp_path)
    assert (same, comment, raises) == ("alike", "comments", "raises")


def test_every_emitter_has_mutants_and_assertions_have_none() -> None:
    for name in EMITTERS[-2:]:
        source = (ROOM / f"{name}.py").read_text()
        made = list(python_mutants(source))
        assert len({what for what, _ in made}) == len({text for _, text in made}) == len(made) > 5
    assert not list(python_mutants("assert x == 1 or y < 2"))
    assert len(list(python_mutants("z = x == 1 or y < 2"))) == 5


def test_what_no_network_shows_is_left_to_the_tests_of_texts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PASSED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOM.parent, capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr  # the right one, and one with needless casts


def test_networks_made_by_hand_pass_and_have_names_of_their_own() -> None:
    made = handmade()
    assert len({one.graph.name for one in made}) == len(made)
    cases = [engines.case(one, 1) for one in made]
    for start in range(0, len(cases), 16):
        verdicts = engines.compare(cases[start : start + 16], ("reference", "rtl"))
        assert [verdict.wrong | verdict.refused for verdict in verdicts] == [{}] * len(verdicts)
        assert all(verdict.compared == ["reference", "rtl"] for verdict in verdicts)
