"""The commands `trammel data …`. Imports nothing heavy: the server's own commands load this module too."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from training.generate.cli import self_play

if TYPE_CHECKING:
    from training.generate.teacher import Teacher

app = typer.Typer(no_args_is_help=True, help="Data to fine-tune on: OpenAI's fine-tuning JSONL.")

app.command("self-play")(self_play)

_FORMATS = "openai, flat, sharegpt, glaive, toolbench, sgd, star, taskmaster4."


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="Fine-tuning lines.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    tools: Annotated[
        str | None, typer.Option(help="Tools whose Python types judge arguments too: a Python file with them.")
    ] = None,
    grammar: Annotated[bool, typer.Option(help="Say which schemas our server would refuse as strict.")] = True,
    faults: Annotated[int, typer.Option(min=0, help="Errors and warnings to show of each.")] = 20,
) -> None:
    """Judge every line, of conversations or of preferences (DPO).

    Leaves with 0 if all are valid, 1 if not, 2 if the file can't be read.
    """
    from training.data.checks import Checks
    from training.data.preferences import names_preferences, validate_pairs
    from training.data.validation import validate_file
    from training.data.verdict_text import verdict_text
    from training.tools import ToolError, load_tools

    try:
        judges = {tool.name: tool.judge for tool in (load_tools(tools) if tools else ()) if tool.judge}
        if tools and not judges:
            _fail(f"--tools: nothing in {tools} has Python types to judge by; give functions or pydantic models")
        judge = validate_pairs if names_preferences(file) else validate_file
        verdict = judge(file, Checks(judges, checks_grammars=grammar))
    except (ToolError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps({"file": str(file), **verdict.as_json()}, ensure_ascii=False, indent=1))
    else:
        typer.echo(verdict_text(verdict, str(file), faults))
    if verdict.errors or (strict and verdict.warnings):
        raise typer.Exit(1)


@app.command()
def generate(
    tools: Annotated[
        str | None, typer.Option(help="Names of example tools, or files with tools; joined with +.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The JSONL file; one half written is gone on with.")] = Path(
        "train.jsonl"
    ),
    num_examples: Annotated[int, typer.Option(min=1, help="Examples in all.")] = 50,
    seed: Annotated[int, typer.Option(help="Decides all that is drawn.")] = 42,
    categories: Annotated[
        str | None, typer.Option(help="Shares, such as single_call=3,chain=1; by default all seven categories.")
    ] = None,
    distractors: Annotated[int, typer.Option(min=0, help="At most so many example tools beside yours.")] = 2,
    renamed: Annotated[float, typer.Option(min=0, max=1, help="Share of examples with other names for tools.")] = 0.2,
    scenarios: Annotated[
        Path | None, typer.Option(help="A YAML or JSON file of scenarios to play instead of the categories.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Base URL of an OpenAI-compatible endpoint that says requests in other words.")
    ] = None,
    teacher_model: Annotated[str, typer.Option(help="The teacher's model.")] = "trammel-tiny",
    teacher_mode: Annotated[
        str, typer.Option(help="paraphrase: rewrite requests; write: write them anew, from tool and arguments.")
    ] = "paraphrase",
    plain: Annotated[bool, typer.Option("--plain", help="Only OpenAI's own fields.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin the file anew.")] = False,
) -> None:
    """Make up examples for tools, from templates or from a file of scenarios."""
    from training.data.validation import validate_file
    from training.data.verdict_text import coverage_lines
    from training.generate.generator import GenerateError, GenerateSettings, write_generated
    from training.generate.plan import DEFAULT_SHARES, parse_shares
    from training.generate.scenario_file import read_scenarios
    from training.generate.teacher import TeacherError
    from training.tools import ToolError, load_tools
    from training.tools.examples import EXAMPLE_TOOLS

    try:
        file = read_scenarios(scenarios) if scenarios else None
        chosen = load_tools(_tools_named(tools or (file.tools if file else None)))
        names = {tool.name for tool in chosen}
        shares = parse_shares(categories) if categories else DEFAULT_SHARES
        others = [tool for tool in EXAMPLE_TOOLS if tool.name not in names]
        settings = GenerateSettings(chosen, num_examples, seed, shares, others, distractors, renamed, file)
        asked = _teacher(teacher, teacher_model, teacher_mode, output)
        rewrite = asked.rewrite if asked else None
        steps = write_generated(settings, output, fresh=fresh, plain=plain, rewrite=rewrite)
        with typer.progressbar(steps, length=num_examples, label="examples", file=sys.stderr) as bar:
            for stats in bar:  # noqa: B007 - the last one counts
                pass
    except (GenerateError, TeacherError, ToolError, ValueError, OSError) as error:
        _fail(str(error))
    if asked:
        typer.echo(f"the teacher said {asked.rewritten} in other words; {asked.kept} kept their own", err=True)
    for category, count in stats.skipped.items():
        typer.echo(f"trammel: {count} x {category} is not possible with these tools: single calls instead", err=True)
    for identity in stats.exhausted:
        typer.echo(f"trammel: scenario {identity!r} allows no more different examples", err=True)
    typer.echo("\n".join(coverage_lines(validate_file(output).coverage)))
    typer.echo(f"{output}: {stats.count} examples, {stats.found} of them from before, {stats.repeats} repeats dropped")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A file of lines, or a corpus' folder.")],
    output: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    read_as: Annotated[str, typer.Option("--from", help=_FORMATS)] = "openai",
    write_as: Annotated[str, typer.Option("--to", help="As --from.")] = "openai",
    plain: Annotated[bool, typer.Option("--plain", help="Only OpenAI's own fields, for --to openai.")] = False,
    keep_invalid: Annotated[
        bool, typer.Option("--keep-invalid", help="Write what validate would refuse, too.")
    ] = False,
) -> None:
    """Turn data of one format into another; what can't be told in it is counted."""
    from training.convert.formats import READERS, WRITERS, Conversion
    from training.convert.formats import convert as convert_all

    for name in (read_as, write_as):
        if name not in READERS:
            _fail(f"no format is named {name!r}; there are {', '.join(READERS)}")
    if plain and write_as != "openai":
        _fail("--plain is for --to openai")
    if source.resolve() == output.resolve():
        _fail("the output would overwrite what is read")
    names = {str(name): name for name in WRITERS}
    stats = Conversion()
    try:
        steps = convert_all(source, output, names[read_as], names[write_as], plain=plain, invalid=keep_invalid)
        for stats in steps:  # noqa: B007 - the last one counts
            pass
    except (OSError, ValueError) as error:
        _fail(str(error))
    for reason, count in stats.skipped.most_common(10):
        typer.echo(f"skipped {count}: {reason}", err=True)
    typer.echo(f"{output}: {stats.written} conversations, {stats.skipped.total()} skipped")


@app.command()
def render(
    file: Annotated[Path, typer.Argument(help="Fine-tuning lines.")],
    template: Annotated[
        str,
        typer.Option(help="trammel, chatml, tool_code, marked, blocks; a GGUF file, a Hugging Face folder, a .jinja."),
    ] = "trammel",
    line: Annotated[int | None, typer.Option(min=1, help="Print this record only.")] = None,
    output: Annotated[Path | None, typer.Option(help='Write {"text": …} lines here instead of printing.')] = None,
) -> None:
    """Show the text that a model sees, under any chat template."""
    from server.chat.template import TemplateError
    from training.data.rendering import find_template, render_file

    try:
        texts = list(render_file(file, find_template(template), only=line))
        if output is not None:
            rows = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
            output.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    except (TemplateError, ValueError, OSError) as error:
        _fail(str(error))
    if line is not None and not texts:
        _fail(f"{file} has no record {line}")
    if output is not None:
        typer.echo(f"{output}: {len(texts)} texts")
    else:
        typer.echo("\n\n".join(texts))


@app.command()
def mix(
    files: Annotated[list[Path], typer.Argument(help="Fine-tuning lines with tools; they may hold chat too.")],
    output: Annotated[Path, typer.Option(help="The JSONL file to train on.")] = Path("train.jsonl"),
    chat: Annotated[
        list[str] | None, typer.Option(help="Files of general chat, or `public`: the corpus chat in $TRAMMEL_DATA.")
    ] = None,
    chat_share: Annotated[float, typer.Option(min=0, max=1, help="Share of general chat.")] = 0.5,
    categories: Annotated[
        str | None, typer.Option(help="Shares within the tool data, such as single_call=3,chain=1.")
    ] = None,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share to hold back for evaluation.")] = 0.0,
    held_out_output: Annotated[Path, typer.Option(help="Where to.")] = Path("held_out.jsonl"),
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Files whose conversations must not come in, such as evaluations.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Records to train on at most.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which are taken, and their order.")] = 42,
    report: Annotated[Path | None, typer.Option(help="A JSON file for the report.")] = None,
) -> None:
    """Put a training set together: tools and general chat, each conversation once, some held back."""
    from training.corpus.archives import DataMissingError
    from training.data.validation import InvalidDataError
    from training.generate.plan import parse_shares
    from training.mix.files import mix_files, report_text, write_report
    from training.mix.mixture import MixSettings

    if output.resolve() in [path.resolve() for path in files]:
        _fail("the output would overwrite what is read")
    try:
        shares = {str(name): share for name, share in (parse_shares(categories) if categories else {}).items()}
        settings = MixSettings(chat_share, shares, held_out, seed, limit)
        kept = held_out_output if held_out else None
        made = mix_files(files, chat or [], settings, output, kept, exclude or [])
        if report is not None:
            write_report(made, report)
    except (InvalidDataError, DataMissingError, ValueError, OSError) as error:
        _fail(str(error))
    typer.echo(report_text(made, settings))
    typer.echo(f"{output}: {made.train.total()} records")
    if kept:
        typer.echo(f"{kept}: {made.held_out.total()} records")


@app.command()
def contamination(
    file: Annotated[Path, typer.Argument(help="What is trained on.")],
    against: Annotated[Path, typer.Option(help="What is evaluated with.")],
    ngram: Annotated[int, typer.Option(min=2, help="Words in a run.")] = 8,
    most: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave with 1 if more than this share of records is common.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Tell what a training file has in common with an evaluation file."""
    from training.data.validation import InvalidDataError
    from training.mix.contamination import contamination_text, find_contamination

    try:
        found = find_contamination(file, against, ngram)
    except (InvalidDataError, OSError) as error:
        _fail(str(error))
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1) if as_json else contamination_text(found))
    if most is not None and found.share > most:
        raise typer.Exit(1)


@app.command("tools")
def show_tools(
    source: Annotated[str, typer.Argument(help="Names of example tools, or a JSON, YAML or Python file.")] = "",
) -> None:
    """Print tools as a request carries them; without a source, the example tools."""
    from training.tools import ToolError, load_tools
    from training.tools.examples import EXAMPLE_TOOLS

    try:
        tools = load_tools(source) if source else EXAMPLE_TOOLS
    except (ToolError, OSError) as error:
        _fail(str(error))
    typer.echo(json.dumps([tool.as_json() for tool in tools], ensure_ascii=False, indent=1))


def _tools_named(source: str | None) -> str:
    if source is None:
        raise ValueError("say which tools: --tools, or `tools` in the file of scenarios")
    return source


def _teacher(url: str | None, model: str, mode: str, output: Path) -> "Teacher | None":
    from training.generate.endpoint import base_url
    from training.generate.teacher import Teacher

    if url is None:
        return None
    if mode not in ("paraphrase", "write"):
        raise ValueError(f"no mode is named {mode!r}; there are paraphrase and write")
    return Teacher(
        base_url(url), model, output.with_suffix(".teacher.jsonl"), "write" if mode == "write" else "paraphrase"
    )


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
