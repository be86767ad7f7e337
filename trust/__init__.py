"""Campaigns that look for what is wrong with bitwright: `python -m trust` lists them.

oracle.py       what a graph means, once more, in plain Python integers
networks.py     random networks
operations.py   of random operations
plans.py        and random plans for them
inputs.py       random and adversarial inputs
engines.py      many networks through the reference, RTL and HLS at a time
shrink.py       a failure made as small as it goes
regressions.py  a failure as a folder, which a test replays
fuzz.py         differential fuzzing
strangers.py    damaged files
loader_fuzz.py  the loaders that read them
mutants.py      library cells with a mistake
bench.py        plain-Python models that have to find it
battery.py      networks that have to find it
lint.py         warnings that find it
equivalence.py  a mistake that is none, proven
mutation.py     the campaign over all cells
emitters.py     the Python that emits, with a mistake
python_mutants.py  what a mistake in Python is
handmade.py     networks for what random ones seldom have
proofs.py       every cell and many networks proven, mutants of the cells refuted
jobs.py         what is killed, and what it leaves
kills.py        jobs killed at random moments
results.py      rows of campaigns, and docs/results/trust.json
"""
