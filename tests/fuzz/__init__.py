"""Fuzzers of every parser of bytes and words from outside.

Each module here but `harness`, `inputs` and `__main__` is a target: it has a function
`run(seconds, seed=None)`, which raises at the first input that a parser answers with anything but a
value or an error of chrun's. The inputs are nearly right: what is quite wrong is refused at once.
Hypothesis, which the unit tests use, makes some fifty of such inputs a second; these are thousands.

    make fuzz-python                         15 s for each target, two at a time
    make fuzz-python FUZZ_SECONDS=14400      an hour for each
    python -m tests.fuzz --seconds 240 --seed 7 archives
"""
