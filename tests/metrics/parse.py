"""Reads metrics with the official Python client and checks what its parser does not.

Standard input is the text of /metrics. Prints a line for each problem; status 1 if there is one.
"""

import sys
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families


def problems(text):
    """What is wrong with `text`, a sentence each."""
    seen = set()
    for family in text_string_to_metric_families(text):
        if not family.documentation:
            yield f"{family.name} has no help"
        if family.type == "unknown":
            yield f"{family.name} has no type"
        if not family.samples:
            yield f"{family.name} has no series"
        buckets = {}
        counts = {}
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            if series in seen:
                yield f"{sample.name} {sample.labels} is there twice"
            seen.add(series)
            labels = dict(sample.labels)
            bound = labels.pop("le", None)
            key = frozenset(labels.items())
            if sample.name.endswith("_bucket"):
                buckets.setdefault(key, []).append((float(bound), sample.value))
            elif sample.name.endswith("_count"):
                counts[key] = sample.value
        if family.type == "histogram":
            yield from histogram(family.name, buckets, counts)


def histogram(name, buckets, counts):
    """What is wrong with the buckets of one family."""
    if buckets.keys() != counts.keys():
        yield f"{name}: buckets and counts have other labels"
    for key, series in buckets.items():
        if any(a >= b for (a, _), (b, _) in pairwise(series)):
            yield f"{name} {dict(key)}: the bounds do not ascend"
        if any(a > b for (_, a), (_, b) in pairwise(series)):
            yield f"{name} {dict(key)}: the buckets are not cumulative"
        if series[-1] != (float("inf"), counts.get(key)):
            yield f"{name} {dict(key)}: the last bucket is not the count"


if __name__ == "__main__":
    found = list(problems(sys.stdin.read()))
    print(*found, sep="\n")
    sys.exit(bool(found))
