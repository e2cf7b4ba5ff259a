"""Parts of benchmarks/monitor_delay.py.

streams   simulated months of answers, with a truth that is known exactly
screens   which looks could alarm at all, for whole months at once
alarms    months of runs, counted: the alarm rule against its promise
year      the flights of a year, in the order of time, with and without faults
peers     a plain Kolmogorov-Smirnov rule, and Evidently with its default
roundtrip from the run to the server that answers with the old identity
"""
