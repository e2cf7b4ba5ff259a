"""Watching after the release: the same rule, applied again and again to what the champion answers.

log      reads the prediction log that a server writes (`weighin.prediction_log.writer`)
watched  what the contract wants watched, as checks with limits
alarm    how sure a window has to be, so that looking every five minutes raises few false alarms in a month
windows  cuts the log as a look needs it, and puts a shadow's answers beside the champion's
estimate what a metric will be, before labels come
look     one look: windows of the log in, outcomes and alarms out
stream   detectors of concept drift, fed row by row
back     whether a monitor may roll back, and to which version
canary   one look at a canary: whether its share of the traffic grows, goes, or waits
tell     people are told, a training is asked for
"""
