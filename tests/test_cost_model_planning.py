"""Plans for any graph: valid, as fast as asked, within budgets, and refused with what would do."""

import re
from dataclasses import replace

import pytest

from bitwright.cost_model import STREAMS, estimate, find_plan, make_plan, node_cycles, unrolled_plan
from bitwright.cost_model.candidates import parts
from bitwright.cost_model.planning import USUAL_LUTS
from bitwright.models.errors import GraphError, InputError
from bitwright.models.graph import TARGETS, USUAL_MHZ, Folded, Graph, Plan, Target, Unrolled, cycles
from bitwright.models.zoo import random_cnn, random_mlp

SMALL = {"shape": (6, 6, 3), "channels": (4, 6), "weight_bits": 2, "activation_bits": 2}


def network(**changes: object) -> Graph:
    return random_cnn(**{**SMALL, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "changes",
    [
        {"residual": True},
        {"depthwise": True, "pooling": "sum"},
        {"weight_bits": 1, "activation_bits": 1, "form": "threshold", "decide": True},
        {"pooling": "none", "padding": False},
    ],
)
def test_any_image_network_gets_a_plan(target: Target, changes: dict[str, object]) -> None:
    graph = network(**changes)
    plan = make_plan(graph, target)
    plan.check(graph)
    found = estimate(graph, plan)
    assert (found.latency, found.ii) == (cycles(graph, plan).latency, cycles(graph, plan).interval)
    assert found.total.lut <= 20_000
    assert list(found.nodes) == [*(node.name for node in graph.nodes), STREAMS]
    assert max(node_cycles(graph, plan).values()) <= found.ii


def test_vectors_that_fit_stay_unrolled() -> None:
    plan = make_plan(random_mlp((8, 8, 4), (4, 3), (4, 3)), "xc7")
    assert all(isinstance(engine, Unrolled) for engine in plan.engines.values())


@pytest.mark.parametrize("target", ["xc7", "ice40"])
def test_vectors_that_do_not_fit_are_folded(target: Target) -> None:
    graph = random_mlp((256, 256, 128, 10), (4, 4, 4), (4, 4, 4))
    assert estimate(graph, unrolled_plan(graph, target)).total.lut > 4 * USUAL_LUTS[target]
    plan = make_plan(graph, target)
    assert any(isinstance(engine, Folded) for engine in plan.engines.values())
    assert estimate(graph, plan).total.lut <= USUAL_LUTS[target]


@pytest.mark.parametrize("target", TARGETS)
def test_without_a_clock_a_plan_is_for_one_that_it_should_reach(target: Target) -> None:
    for graph in (network(), random_mlp((16, 12, 4), (5, 4), (5, 4))):
        plan = make_plan(graph, target)
        reached = estimate(graph, plan, solved=True).clock_mhz
        assert plan.clock_mhz <= min(reached, USUAL_MHZ[target])
        # and no slower than it has to be
        assert plan.clock_mhz == USUAL_MHZ[target] or plan.clock_mhz > reached - 20
    rate = USUAL_MHZ[target] * 1e6 / 2000
    plan = find_plan(network(), target, target_fps=rate)
    assert estimate(network(), plan, solved=True).vectors_per_second >= rate
    assert plan.clock_mhz * 1e6 / cycles(network(), plan).interval >= rate


def test_a_rate_missed_at_every_clock_is_refused_where_delays_were_routed() -> None:
    graph = random_mlp((8, 6, 4), (4, 4), (6, 8))
    with pytest.raises(InputError, match="at a clock that it should reach: the nearest takes 1 "):
        find_plan(graph, "ecp5", target_fps=USUAL_MHZ["ecp5"] * 1e6)
    rate = USUAL_MHZ["xc7"] * 1e6
    missed = find_plan(graph, "xc7", target_fps=rate)  # assumed ones are too rough for that
    assert missed.clock_mhz == USUAL_MHZ["xc7"]
    assert estimate(graph, missed, solved=True).vectors_per_second < rate


def test_a_rate_is_reached_as_cheaply_as_possible() -> None:
    graph = random_cnn(residual=True)
    costs = []
    for rate in (1_000, 10_000, 100_000):
        plan = find_plan(graph, "xc7", 100.0, target_fps=rate)
        found = estimate(graph, plan)
        assert 100e6 / found.ii >= rate
        costs.append(found.total.lut)
    assert costs == sorted(costs) and costs[0] < costs[-1]


def test_no_single_layer_can_be_cheaper_at_the_rate() -> None:
    """What the integer program chose against every other folding of each layer."""
    graph = network()
    most = 100e6 / 100_000
    plan = find_plan(graph, "xc7", 100.0, target_fps=100_000)
    for part in parts(graph, "xc7", 100.0):
        taken = next(c for c in part.candidates if c.engines[part.name] == plan.engines[part.name])
        assert taken.cycles <= most
        others = [c for c in part.candidates if c.cycles <= most]
        assert taken.price <= 1.001 * min(c.price for c in others)


def test_sums_have_the_fewest_registers_that_meet_the_clock() -> None:
    graph = random_mlp((128, 64, 10), (4, 4), (4, 4))
    chosen = {}
    for clock in (20.0, 100.0, 150.0):
        plan = find_plan(graph, "xc7", clock, target_fps=clock * 1e6 / 300)
        assert estimate(graph, plan).clock_mhz >= clock
        for node, engine in plan.engines.items():
            if isinstance(engine, Folded) and engine.stages > 1:
                fewer = replace(engine, stages=engine.stages - 1)
                slower = estimate(graph, replace(plan, engines={**plan.engines, node: fewer}))
                assert slower.clock_mhz < clock, (node, engine)
        chosen[clock] = max(e.stages for e in plan.engines.values())
    assert chosen[20.0] == 1 < chosen[100.0] < chosen[150.0]


def test_a_budget_gives_the_fastest_plan_in_it() -> None:
    graph = random_cnn()
    smallest = estimate(graph, find_plan(graph, "xc7", target_fps=1.0)).total.lut
    intervals = []
    for budget in (smallest + 100, 2 * smallest, 4 * smallest):
        found = estimate(graph, find_plan(graph, "xc7", max_lut=budget))
        assert found.total.lut <= budget
        intervals.append(found.ii)
    assert intervals == sorted(intervals, reverse=True) and intervals[0] > intervals[-1]


def test_memory_blocks_are_a_budget_too() -> None:
    graph = random_mlp((128, 64, 10), (4, 4), (4, 4))
    free = estimate(graph, find_plan(graph, "ecp5", target_fps=5e4))
    assert free.total.bram > 0
    few = estimate(graph, find_plan(graph, "ecp5", target_fps=5e4, max_bram=free.total.bram - 1))
    assert few.total.bram < free.total.bram


def test_multipliers_are_a_budget_too() -> None:
    graph = random_mlp((32, 16, 8), (8, 8), (8, 8))
    free = estimate(graph, find_plan(graph, "xc7", 100.0, max_lut=4000))
    most = free.total.dsp // 2
    few = estimate(graph, find_plan(graph, "xc7", 100.0, max_lut=4000, max_dsp=most))
    assert free.total.dsp > 2 and few.total.dsp <= most and few.total.lut <= 4000
    assert few.ii > free.ii  # what it costs
    rate = 100e6 / free.ii
    with pytest.raises(InputError, match="at that rate"):
        find_plan(graph, "xc7", 100.0, target_fps=rate, max_lut=4000, max_dsp=most)
    alone = estimate(graph, find_plan(graph, "xc7", 100.0, max_dsp=most))
    assert alone.total.dsp <= most


def test_big_vectors_are_folded_on_demand() -> None:
    graph = random_mlp((784, 128, 10), (1, 1), (1, 1), form="threshold")
    plan = find_plan(graph, "xc7", 200.0, target_fps=100_000)
    assert isinstance(plan.engines["fc0"], Folded)
    found = estimate(graph, plan)
    assert 200e6 / found.ii >= 100_000 and found.total.lut < 8000


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"target_fps": 5e7},
            r"folded, node conv0 takes at least 324 cycles.*at most 617,283\.9 a",
        ),
        ({"max_lut": 100}, r"needs [\d,]+ look-up tables, [\d,]+ more than the 100 allowed"),
        ({"target_fps": 1e5, "max_lut": 100}, r"at that rate on xc7 needs [\d,]+ look-up tables"),
        ({"target_fps": 0.0}, r"a rate of 0.0 tensors a second"),
        ({"max_bram": -1}, r"at most -1 memory blocks"),
        ({"max_dsp": -1}, r"at most -1 multiplier blocks"),
    ],
)
def test_what_cannot_be_is_refused(limits: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_plan(network(), "xc7", 200.0, **limits)  # type: ignore[arg-type]


def test_the_refusal_says_what_would_do() -> None:
    graph = network()
    with pytest.raises(InputError) as refused:
        find_plan(graph, "xc7", max_lut=100)
    enough = re.search(r"needs ([\d,]+)", str(refused.value))
    assert enough is not None
    lut = int(enough[1].replace(",", ""))
    assert estimate(graph, find_plan(graph, "xc7", max_lut=lut)).total.lut <= lut
    with pytest.raises(InputError, match=f"needs {lut:,} look-up tables, 1 more than the "):
        find_plan(graph, "xc7", max_lut=lut - 1)
    # What the smallest by price takes is a budget that holds it, or a faster one.
    cheap = estimate(graph, find_plan(graph, "xc7", target_fps=1.0))
    found = estimate(graph, find_plan(graph, "xc7", max_lut=cheap.total.lut))
    assert found.total.lut <= cheap.total.lut and found.ii <= cheap.ii


def test_every_budget_from_the_smallest_on_gives_a_plan() -> None:
    """Tightening by what lies between the parts overshoots close to the smallest plan."""
    graph = network(residual=True)
    with pytest.raises(InputError) as refused:
        find_plan(graph, "xc7", 200.0, max_lut=100)
    enough = re.search(r"needs ([\d,]+)", str(refused.value))
    assert enough is not None
    least = int(enough[1].replace(",", ""))
    intervals = []
    for budget in (least, least + 30, 2 * least):
        found = estimate(graph, find_plan(graph, "xc7", 200.0, max_lut=budget))
        assert found.total.lut <= budget
        intervals.append(found.ii)
    assert intervals[0] >= intervals[1] > intervals[2]


def test_the_refusal_of_a_rate_is_about_folding_and_says_what_unrolling_takes() -> None:
    graph = network()
    with pytest.raises(InputError) as refused:
        find_plan(graph, "xc7", 200.0, target_fps=5e7)
    said = re.search(
        r"at most ([\d,.]+) a second.*Unrolled, which is not tried here, (\w+) takes ([\d,]+): "
        r'give it "stages": 3 ',
        str(refused.value),
    )
    assert said is not None
    rate = float(said[1].replace(",", ""))
    plan = find_plan(graph, "xc7", 200.0, target_fps=rate)  # what it says is possible
    assert 200e6 / cycles(graph, plan).interval >= rate
    unrolled = replace(plan, engines={**plan.engines, said[2]: Unrolled(3)})
    unrolled.check(graph)
    assert node_cycles(graph, unrolled)[said[2]] == int(said[3]) < node_cycles(graph, plan)[said[2]]
    every = {name: Unrolled(3) for name in plan.engines if name.startswith("conv")}
    by_hand = replace(plan, engines={**plan.engines, **every})
    assert cycles(graph, by_hand).interval < 200e6 / rate
    # Dense layers are tried unrolled: nothing is left to say.
    with pytest.raises(InputError, match=r"^unrolled, node fc0 takes at least 1 cycle, ") as least:
        find_plan(random_mlp((8, 8, 4), (4, 3), (4, 3)), "xc7", 200.0, target_fps=1e9)
    assert "not tried" not in str(least.value)


def test_refuses_an_unknown_target_or_clock() -> None:
    for graph in (network(), random_mlp((8, 8, 4), (4, 3), (4, 3))):
        with pytest.raises(GraphError, match="target 'max10' is not one of xc7"):
            make_plan(graph, "max10")  # type: ignore[arg-type]
        with pytest.raises(GraphError, match="is outside 1"):
            find_plan(graph, "xc7", 0.0, target_fps=1.0)


def test_more_parallel_is_faster_and_larger() -> None:
    graph = network()
    plan = make_plan(graph, "xc7")
    slow = Plan({**plan.engines, "conv1": Folded(1, 1), "conv1_act": Folded(1)}, "xc7")
    assert estimate(graph, slow).ii > estimate(graph, plan).ii
    assert estimate(graph, slow).total.lut < estimate(graph, plan).total.lut
    other = replace(plan, target="ice40")
    assert estimate(graph, other).total.dsp == 0
