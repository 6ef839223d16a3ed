"""Networks, LoRA and its relatives: what their files hold, and which layers of a model they change by how much."""
