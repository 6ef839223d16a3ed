"""Imported by the process that servers and engines are forked from: all that is slow to import, and nothing runs."""

# ruff: noqa: E402, F401 - the imports come after what they are made quicker by

import gc

# Nothing that is imported is garbage, and looking for some takes a tenth of the time.
gc.disable()

import modules.engine.engine
import modules.server.app
import modules.server.page_app
import modules.server.serve

# What is shared with every fork must not be looked through, and so copied, when one of them collects garbage.
gc.collect()
gc.freeze()
gc.enable()
