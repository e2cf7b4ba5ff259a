"""Watching after the release: the same rule, applied again and again to what the champion answers.

alarm   how sure a look has to be, so that looking every five minutes raises few false alarms in a month
look    one look: windows of the log in, outcomes and alarms out
"""
