"""Design-space exploration: from a space file and a budget to a Pareto front of networks.

candidate.py   Candidate and Task: what can be made, as values
budget.py      Budget: device, clock and limits
space.py       Space: the file that says what varies
network.py     from a candidate to a trained torch network
evaluate.py    evaluate: from a task to a row, accuracy and cost
sensitivity.py what quantising a module costs in loss
tables.py      what every part costs and loses, choice by choice
program.py     Program: the integer program on these tables
study.py       Study: the SQLite file that remembers every row
worker.py      the process that evaluates
executors.py   Executor, LocalExecutor: where evaluations run
cluster.py     DaskExecutor: farms
methods.py     uniform, pareto, ilp, differentiable, finalists: what to evaluate
explore.py     explore: all of it
front.py       Pareto fronts
progress.py    what a person watches
page.py        the report of a study, one HTML page
hardware.py    from a point to checked hardware
"""
