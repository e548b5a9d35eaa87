"""The command `trammel data self-play`. Imports nothing heavy: the server's own commands load this module too."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def self_play(
    endpoint: Annotated[str, typer.Option(help="Base URL of the OpenAI-compatible endpoint that acts.")],
    tools: Annotated[str | None, typer.Option(help="As for generate; `simulate` answers the calls.")] = None,
    scenarios: Annotated[Path | None, typer.Option(help="A file of scenarios as tasks.")] = None,
    model: Annotated[str, typer.Option(help="The model that acts.")] = "trammel-tiny",
    output: Annotated[Path, typer.Option(help="The JSONL file; one half written is gone on with.")] = Path(
        "selfplay.jsonl"
    ),
    num_tasks: Annotated[int, typer.Option(min=1, help="Tasks in all; those that succeed are kept.")] = 50,
    attempts: Annotated[int, typer.Option(min=1, help="At each task, the first without sampling.")] = 4,
    temperature: Annotated[float, typer.Option(min=0, help="From the second attempt on.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Decides the tasks.")] = 42,
    categories: Annotated[str | None, typer.Option(help="Shares, such as single_call=3,chain=1.")] = None,
    distractors: Annotated[int, typer.Option(min=0, help="At most so many example tools beside yours.")] = 2,
) -> None:
    """Let a served model act on generated tasks, and keep the conversations that succeed."""
    from training.generate.endpoint import Endpoint, EndpointError, base_url
    from training.generate.generator import GenerateError, GenerateSettings
    from training.generate.plan import DEFAULT_SHARES, parse_shares
    from training.generate.scenario_file import read_scenarios
    from training.generate.selfplay import SelfPlaySettings
    from training.generate.selfplay import self_play as play
    from training.tools import ToolError, load_tools
    from training.tools.examples import EXAMPLE_TOOLS

    try:
        file = read_scenarios(scenarios) if scenarios else None
        source = tools or (file.tools if file else None)
        if source is None:
            raise ValueError("say which tools: --tools, or `tools` in the file of scenarios")
        chosen = load_tools(source)
        names = {tool.name for tool in chosen}
        others = [tool for tool in EXAMPLE_TOOLS if tool.name not in names]
        shares = parse_shares(categories) if categories else DEFAULT_SHARES
        tasks = GenerateSettings(chosen, num_tasks, seed, shares, others, distractors, 0, file)
        settings = SelfPlaySettings(tasks, Endpoint(base_url(endpoint)), model, attempts, temperature)
        with typer.progressbar(play(settings, output), length=num_tasks, label="tasks", file=sys.stderr) as bar:
            for played in bar:  # noqa: B007 - the last one counts
                pass
    except (GenerateError, EndpointError, ToolError, ValueError, OSError) as error:
        typer.echo(f"trammel: {error}", err=True)
        raise typer.Exit(2) from error
    for category, count in sorted(played.kept.items()):
        typer.echo(f"kept     {count:6}  {category}")
    for reason, count in played.dropped.most_common():
        typer.echo(f"dropped  {count:6}  {reason}")
    kept = played.kept.total()
    typer.echo(f"{output}: {kept} of {played.tasks} tasks succeeded, {played.found} played before")
