# What this package gives to others; each name is imported when it is first used.
from .run import BenchmarkEvaluator as BenchmarkEvaluator
