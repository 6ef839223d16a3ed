"""Imported by the process that servers and engines are forked from: all that is slow to import, and nothing runs."""

import gc

import modules.engine.engine
import modules.server.app
import modules.server.page_app
import modules.server.serve  # noqa: F401

# What is shared with every fork must not be looked through, and so copied, when one of them collects garbage.
gc.collect()
gc.freeze()
