"""Reports: a decision record in, text out. They render what was decided and compute nothing about it."""
