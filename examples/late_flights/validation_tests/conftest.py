"""Every suite is parametrised from the contract; see weighin/suites/plugin.py for the fixtures."""

pytest_plugins = ["weighin.suites.plugin"]
