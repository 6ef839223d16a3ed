"""What every test stands on: quiet thread pools, and no network library that looks for a hub."""

import os

# Both must be in the environment before torch or huggingface_hub are first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
