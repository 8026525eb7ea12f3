"""Summary of a file of rows before training."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqhub.data.source import DataSource
    from seqhub.tasks.schema import TaskSchema

_MOST_NAMED = 8  # classes or columns


def summary_rows(source: "DataSource") -> list[tuple[str, str]]:
    """Return the lines of the summary, each with a name: what was chosen, and what is in the rows."""
    rows, schema = source.file_rows, source.schema
    assert rows is not None
    reading, found, statistics = rows.reading, rows.found, source.statistics
    lines = [("kind", source.task.config_name), ("inputs", _inputs(reading, source))]
    if "target" in reading:
        lines.append(("target", _target(reading, statistics, schema)))
    sizes = [f"{size:,} for {name}" for name, size in source.sizes.items()]
    lines.append(("rows", ", ".join(sizes)))
    shortest, longest = statistics["length"]
    steps = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    cut = f"; {found['truncated']:,} rows were cut off" if "truncated" in found else ""
    lines.append(("steps", steps + cut))
    if "unknown" in statistics:
        unknown = ", ".join(f"{share:.1%} in {name}" for name, share in statistics["unknown"].items())
        lines.append(("unknown symbols", unknown))
    if "missing" in found:
        lines.append(("missing values", f"{found['missing']:,}, with --missing {reading['features']['missing']}"))
    if "long_form" in found:
        grouped = found["long_form"]
        order = f"ordered by {reading['order']!r}" if "order" in reading else "in the order of the file"
        apart = f"; {grouped['scattered']:,} times the rows of an id are apart" if grouped["scattered"] else ""
        lines.append(("one step a row", f"{grouped['rows']:,} rows of {grouped['ids']:,} values of {reading['id']!r}, "
                                        f"{order}{apart}"))  # fmt: skip
    if "contradictory" in found:
        lines.append(("equal inputs", f"{found['contradictory']:,} rows have the inputs of rows of another class"))
    for split, count in found["repeated"].items():
        if count:
            lines.append(("repeated rows", f"{count:,} of {source.sizes[split]:,} of {split} are also training rows"))
    lines += [(f"baseline {name!r}", _measured(measured, schema.target, reading)) for name, measured in
              source.baselines.items()]  # fmt: skip
    return lines


def _inputs(reading: Any, source: "DataSource") -> str:
    names = [repr(name) for name in reading["inputs"]]
    shown = ", ".join(names[:_MOST_NAMED]) + (f", ... ({len(names):,} columns)" if len(names) > _MOST_NAMED else "")
    vocabulary = source.schema.vocabulary
    if vocabulary is not None:
        return f"{shown}, {len(vocabulary):,} different {reading['tokens']} with the unknown one"
    features = reading["features"]
    scale = {"standard": "mean and standard deviation", "robust": "median and interquartile range", "none": "nothing"}
    return f"{shown}, {source.schema.num_features:,} values a step, scaled by {scale[features['scale']]}"


def _target(reading: Any, statistics: Any, schema: "TaskSchema") -> str:
    target = reading["target"]
    name = repr(target) if isinstance(target, str) else f"{len(target)} columns"
    if schema.target == "sequence":
        return f"{name}, texts of up to {schema.max_target:,} {reading['tokens']}, to be generated"
    if "numbers" in reading:
        numbers = zip(reading["numbers"], reading["target_mean"], reading["target_deviation"], strict=True)
        shown = ", ".join(f"{each!r} {mean:.4g} ± {deviation:.3g}" for each, mean, deviation in numbers)
        return f"{len(reading['numbers'])} numbers: {shown}"
    if "classes" not in statistics:
        return f"{name}, a number: mean {reading['target_mean']:.4g}, deviation {reading['target_deviation']:.4g}"
    several = "majority" not in statistics  # labels, of which a row has any number
    classes = statistics["classes"]
    total = max(1, statistics["rows"] if several else sum(classes.values()))
    most = sorted(classes.items(), key=lambda each: -each[1])[:_MOST_NAMED]
    shown = ", ".join(f"{label!r} {count / total:.1%}" for label, count in most)
    return f"{name}, {len(classes)} {'labels of any number' if several else 'classes'}: {shown}" + (
        ", ..." if len(classes) > _MOST_NAMED else ""
    )


def _measured(measured: dict[str, float], target: str, reading: Any) -> str:
    if target not in ("number", "numbers"):
        return ("micro F1 " if target == "multi_label" else "accuracy ") + ", ".join(
            f"{value:.1%} in {split}" for split, value in measured.items()
        )
    deviation = reading["target_deviation"] if target == "number" else 1.0
    values = ", ".join(f"{math.sqrt(value) * deviation:.4g} in {split}" for split, value in measured.items())
    unit = "" if target == "number" else " in standard deviations"
    return f"root mean squared error{unit} {values}"
