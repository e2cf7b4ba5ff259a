"""Statistics: arrays or counts in, numbers out. No data frame, no file, no limit."""
