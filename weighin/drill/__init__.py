"""The drill: faults of known size are put into copies of what a gate reads, and the gate judges them.

    inputs      what a gate reads, in memory; a fault returns a changed copy
    fault       what a fault is: a name, a size, and the function that makes it
    labels, answers, ...   the faults, family by family; catalogue lists them
    judge       suites, `outcome.decide` and the gate's own correction, over what a fault can reach
    search      sizes and draws, from which the smallest size that is blocked follows
    run         the whole of it, on two processes; a run that was stopped is continued
    result      what came out, as JSON

Nothing is written to a registry, no use of a sealed holdout is counted, and no file of a validation is changed.
"""
