"""Campaigns that look for what is wrong with bitwright: `python -m trust` lists them.

oracle.py       what a graph means, once more, in plain Python integers
networks.py     random networks and plans
inputs.py       random and adversarial inputs
engines.py      many networks through the reference, RTL and HLS at a time
shrink.py       a failure made as small as it goes
regressions.py  a failure as a folder, which a test replays
fuzz.py         differential fuzzing
strangers.py    damaged files
loader_fuzz.py  the loaders that read them
mutants.py      library cells with a mistake
mutation.py     the battery that has to find it
survivors.py    a cell's own tests, where the battery did not
emitters.py     the Python that emits, with a mistake
proofs.py       every cell and many networks proven, mutants of the cells refuted
kills.py        a job killed at random moments
results.py      rows of campaigns, and docs/results/trust.json
"""
