"""Monitoring after the release: the rules of the contract, applied again and again to what the champion answers.

rules                  what the contract wants monitored, as checks with limits
alarm                  how sure a window has to be, so that a run every five minutes raises few false alarms in a month
windows                cuts the prediction log as a run needs it, and joins a shadow's answers
estimated_performance  an estimate of a metric before labels come
evaluate               one run: windows of the log in, outcomes and alarms out
detectors              detectors of concept drift, which use one row after the other
next_action            what follows from an evaluation and from the journal, as one step
auto_rollback          whether a monitor may roll back, and to which version
notify                 notifications of people, requests for a training
run                    one run: evaluate, act, write the journal
canary                 one evaluation of a canary: its share of the traffic grows, goes to 0, or waits
"""
