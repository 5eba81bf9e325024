"""How long everything takes and how much memory, beside the specification's own script.

    python -m tests.benchmarks                       all, at 1,000,000 users and 5,000,000 projects
    python -m tests.benchmarks baseline migrate --repeat 3
    python -m tests.benchmarks --users 10000,100000,1000000 --keys random
    python -m tests.benchmarks.page                  docs/performance.md from the figures

Each measurement is a process of its own, so that its peak of memory is its own. Ratios are to the
baseline of the same call: figures of two calls, or of two machines, do not compare.
"""
