"""Transcoders of SmolLM2-135M Q4_1, as files; ``circuitwise.load_transcoders("smollm2")`` opens them."""
