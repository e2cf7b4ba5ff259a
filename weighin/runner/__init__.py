"""Where the steps run: in containers (`docker`) or in the local environment (`local`).

`plan` and `docker` use nothing but the standard library, so that a workflow host needs no installation.
"""
