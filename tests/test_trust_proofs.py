"""The campaign of proofs tells mistakes from changes that mean the same, and from no design."""

from trust.mutants import Mutant
from trust.mutation import CELLS
from trust.proofs import _networks, _noticed

VOTE = (CELLS / "bw_vote.sv").read_text()


def test_a_mutant_is_refuted_or_not_or_no_design() -> None:
    wrong = VOTE.replace("a_i != b_i", "a_i == b_i")
    same = VOTE.replace("(a_i & b_i) | (a_i & c_i)", "(a_i & c_i) | (b_i & a_i)")
    assert wrong != VOTE != same
    assert _noticed("bw_vote", Mutant("wrong", wrong)) is True
    assert _noticed("bw_vote", Mutant("same", same)) is False
    assert _noticed("bw_vote", Mutant("none", VOTE.replace("endmodule", ""))) is None


def test_every_network_has_a_name_of_its_own() -> None:
    names = [name for name, *_ in _networks()]
    assert len(set(names)) == len(names) > 40
