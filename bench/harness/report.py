"""Outcomes as rows for the terminal and as tables for docs/benchmarks.md."""
import pathlib
import re

from harness.workload import Outcome, Result, paired_ratio

# Figures sampled by clock ticks are too coarse for a median: their mean over all rounds is the better estimate.
_MEAN_OF = {"user_ns", "system_ns"}


def _figure(result: Result, column) -> str:
    return column.show(result.mean(column.key) if column.key in _MEAN_OF else result.median(column.key))


def _ratio(outcome: Outcome, case: str, contender) -> float | None:
    ours = contender.against or next((c.name for c in outcome.contenders if c.is_weft), None)
    if not outcome.workload.shows_ratio or contender.is_weft or ours is None:
        return None
    result, reference = outcome.results.get((case, contender.name)), outcome.results.get((case, ours))
    if result is None or reference is None:
        return None
    return paired_ratio(reference, result, outcome.workload.columns[0].key)


def terminal(outcome: Outcome, details: bool, smoke: bool = False) -> str:
    """A heading and one row a case; with details, one row a contender and all its figures."""
    workload = outcome.workload
    first = workload.columns[0]
    lines = [f"{workload.key.upper()}  {workload.title}", f"    target: {workload.target}"]
    with_cpu = any(column.key == "cpu_ns_per_op" for column in workload.columns[1:])
    what = f"{first.label}, {first.unit}" + ("; in brackets CPU time" if with_cpu else "")
    lines.append(f"    {what}" + ("; x = weft / peer, below 1 weft is ahead" if workload.shows_ratio else ""))
    if smoke:
        lines.append("    smoke run: sizes are cut, the figures mean nothing")
    width = max((len(case.name) for case in outcome.cases), default=0)
    for case in outcome.cases:
        cells = [_cell(outcome, case.name, contender) for contender in outcome.contenders
                 if (case.name, contender.name) in outcome.results]
        lines.append(f"    {case.name:<{width}}  " + "   ".join(cells))
        if details:
            lines += [f"        {line}" for line in _details(outcome, case.name)]
    lines += [f"    {name}: {reason}" for name, reason in outcome.missing.items()]
    return "\n".join(lines)


def _cell(outcome: Outcome, case: str, contender) -> str:
    result = outcome.results[(case, contender.name)]
    if result.failure:
        return f"{contender.name} FAILED"
    columns = outcome.workload.columns
    text = f"{contender.name} {_figure(result, columns[0])}"
    cpu = next((column for column in columns[1:] if column.key == "cpu_ns_per_op"), None)
    if cpu:
        text += f" ({_figure(result, cpu)})"
    ratio = _ratio(outcome, case, contender)
    return text + (f" x{ratio:.2f}" if ratio is not None else "")


def _details(outcome: Outcome, case: str) -> list:
    lines = []
    for contender in outcome.contenders:
        result = outcome.results.get((case, contender.name))
        if result is not None and not result.failure:
            figures = [f"{c.label} {_figure(result, c)} {c.unit}".rstrip() for c in outcome.workload.columns]
            lines.append(f"{contender.name}: " + ", ".join(figures))
    return lines


def markdown(outcome: Outcome, context: str) -> str:
    """A section: title, target, machine and command, and a table with one row a contender and case."""
    workload = outcome.workload
    headings = ["case", "program"] + [f"{c.label} [{c.unit}]" if c.unit else c.label for c in workload.columns]
    if workload.shows_ratio:
        headings.append("weft / peer")
    lines = [f"### {workload.key.upper()}: {workload.title}", "", f"Target: {workload.target}.", "", context, "",
             "| " + " | ".join(headings) + " |", "|" + "---|" * 2 + "---:|" * (len(headings) - 2)]
    for case in outcome.cases:
        for contender in outcome.contenders:
            result = outcome.results.get((case.name, contender.name))
            if result is None:
                continue
            name = f"**{contender.name}**" if contender.is_weft else contender.name
            if result.failure:
                cells = ["failed"] + [""] * (len(headings) - 3)
            else:
                cells = [_figure(result, column) for column in workload.columns]
                if workload.shows_ratio:
                    ratio = _ratio(outcome, case.name, contender)
                    cells.append(f"{ratio:.2f}" if ratio is not None else "")
            lines.append("| " + " | ".join([case.name, name, *cells]) + " |")
    lines += [""] + [f"{name}: {reason}." for name, reason in outcome.missing.items()]
    return "\n".join(lines).rstrip() + "\n"


_SECTION = re.compile(r"<!-- ([pfc]\d+[a-z]?): written by bench/compare -->\n.*?<!-- \1: end -->", re.DOTALL)


def _place(key: str) -> tuple[int, int, str]:
    number = re.match(r"\d+", key[1:])[0]
    return "pfc".index(key[0]), int(number), key[1 + len(number) :]


def write_markdown(path: pathlib.Path, outcome: Outcome, context: str) -> None:
    """Replaces the section of this outcome, or adds it. All sections stand at the end of `path`: P by their numbers, then F, C."""
    text = path.read_text() if path.exists() else ""
    sections = {match[1]: match[0] for match in _SECTION.finditer(text)}
    key = outcome.workload.key
    sections[key] = f"<!-- {key}: written by bench/compare -->\n{markdown(outcome, context)}<!-- {key}: end -->"
    blocks = [_SECTION.sub("", text).rstrip(), *(sections[key] for key in sorted(sections, key=_place))]
    path.write_text("\n\n".join(block for block in blocks if block) + "\n")
