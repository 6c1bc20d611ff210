"""Arbitrary bytes for every engine in every state: short inside the suite, as long as one likes with `make fuzz`."""
