"""The report of a run: a page to open from disk, Markdown, tables and figures, the same bytes every time.

index.html     everything on one page, with nothing from elsewhere
report.md      the same in words and tables, with the figures beside it
tables/        CSV and JSON
figures/       PNG and SVG
"""

from pathlib import Path

from circuitwise.errors import RequestError
from circuitwise.features import Survey
from circuitwise.report.chapter import Chapter, read_chapter
from circuitwise.report.figures import pictures
from circuitwise.report.network import Network, circuit_network
from circuitwise.report.page import Part, markdown, page, prompt_networks
from circuitwise.report.tables import Table, summary_table, tables_of, write_table_files
from circuitwise.storage import atomic_path, write_text
from circuitwise.study.run import Run

PAGE, MARKDOWN, TABLES, FIGURES = "index.html", "report.md", "tables", "figures"
FOLDER = "report"
"""Where a run's report lies, in the run's folder, unless told otherwise."""


def write_report(run: Run, *, folder: Path | str | None = None, survey: Survey | None = None) -> Path:
    """Write the report of a run, finished or not, and return its page; a survey adds labels, tokens and contexts."""
    place = run.folder / FOLDER if folder is None else Path(folder)
    if survey is not None:
        _check_survey(survey, run)
    for name in (TABLES, FIGURES):
        (place / name).mkdir(parents=True, exist_ok=True)
    chapters = [read_chapter(run, behaviour) for behaviour in run.behaviours]
    parts: list[Part] = []
    for chapter in chapters:
        part = Part(
            chapter=chapter,
            network=_network(chapter, survey),
            prompts=prompt_networks(run, chapter, survey),
            pictures={picture.name.removesuffix(f"_{chapter.behaviour}"): picture for picture in pictures(chapter)},
        )
        for picture in part.pictures.values():
            _write_bytes(place / FIGURES / f"{picture.name}.png", picture.png)
            write_text(place / FIGURES / f"{picture.name}.svg", picture.svg)
        for table in tables_of(chapter):
            write_table_files(table, place / TABLES)
        parts.append(part)
    summary: Table = summary_table(chapters)
    write_table_files(summary, place / TABLES)
    write_text(place / MARKDOWN, markdown(run, parts))
    write_text(place / PAGE, page(run, parts))
    return place / PAGE


def _network(chapter: Chapter, survey: Survey | None) -> Network | None:
    """The circuit, if there is one."""
    if chapter.circuit is None or not chapter.circuit.members:
        return None
    return circuit_network(chapter.circuit, chapter.effects("ablation_zero"), survey)


def _check_survey(survey: Survey, run: Run) -> None:
    """Refuse a survey of other dictionaries."""
    told = run.manifest
    if told.transcoders_sha256 and survey.origin.transcoders_sha256 != told.transcoders_sha256:
        raise RequestError(
            f"The survey was made with the dictionaries “{survey.origin.transcoders}”, the run with other ones, "
            f"“{told.transcoders}”: their checksums differ. Name the survey of these, or none."
        )


def _write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(content)
