"""Many images become tables: systems are judged on benchmarks, results are kept as CSV."""
