"""The tools that ship: those of a small agent, to try the job with and to serve as distractors beside one's own."""

import ast
import operator
import random
from collections.abc import Callable
from typing import Any

from training.tools.definition import Json, Tool, ToolParameter
from training.tools.values import date, email, first_name, invented, money, place, time_of_day

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg,
}  # fmt: skip
_TOPICS = (
    "vegan restaurants", "train strikes", "the history of tea", "rust on bicycles", "solar panels", "night photography",
    "the tallest bridge", "used violins", "sourdough bread", "quiet dishwashers", "mountain huts", "tax deadlines",
    "bird calls", "open source licences", "ferry timetables", "knee exercises", "wool carpets", "electric vans",
)  # fmt: skip
_SUBJECTS = (
    "Meeting notes", "Invoice", "Lunch", "Your order", "Holiday plans", "Budget", "Next steps", "Thank you", "Report",
)  # fmt: skip
_BODIES = (
    "I will be ten minutes late", "the contract is signed", "please call me back", "the parcel has arrived",
    "we meet in the small room", "the figures are ready", "dinner is at eight", "the key is under the mat",
)  # fmt: skip
_WORDS = ("good morning", "thank you", "where is the station", "the bill please", "see you tomorrow", "I am lost")
_LANGUAGES = ("French", "German", "Spanish", "Italian", "Polish", "Japanese", "Turkish", "Swedish")
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "SEK")
_TASKS = ("water the plants", "call the dentist", "take out the bins", "renew the passport", "feed the cat", "pay rent")


def _chosen(*values: Any) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(values)


def _expression(rng: random.Random) -> str:
    left, right = rng.randint(2, 999), rng.randint(2, 99)
    text = f"{left} {rng.choice('+-*/')} {right}"
    return text if rng.random() < 0.7 else f"({text}) {rng.choice('+-*')} {rng.randint(2, 20)}"


def _calculate(expression: str) -> Json:
    try:
        return {"result": round(_value_of(ast.parse(expression, mode="eval").body), 4)}
    except (ValueError, SyntaxError, ZeroDivisionError) as error:
        return {"error": str(error)}


def _value_of(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value_of(node.left), _value_of(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value_of(node.operand))
    raise ValueError("only numbers and + - * / can be worked out")


def _search(query: str, **_: Any) -> Json:
    rng = random.Random(query)
    return {
        "title": f"{query[:1].upper()}{query[1:]}: {invented(rng)} guide",
        "url": f"https://{invented(rng).lower()}.example",
    }


def _send_email(to: str, **_: Any) -> Json:
    return {"sent": True, "message_id": f"m{random.Random(to).randint(1000, 9999)}"}


def _weather(city: str, **_: Any) -> Json:
    rng = random.Random(city)
    return {"temperature": rng.randint(-10, 35), "sky": rng.choice(("clear", "cloudy", "rain", "snow", "fog"))}


def _created(**arguments: Any) -> Json:
    return {"created": True, "id": random.Random(repr(arguments)).randint(100, 9999)}


def _contact(name: str) -> Json:
    return {"email": f"{name.lower()}@example.org", "phone": f"555-{random.Random(name).randint(1000, 9999)}"}


def _converted(amount: float, **_: Any) -> Json:
    return {"amount": round(amount * random.Random(amount).uniform(0.5, 1.9), 2)}


def _translation(text: str, **_: Any) -> Json:
    rng = random.Random(text)
    return {"translation": " ".join(invented(rng).lower() for _ in text.split())}


EXAMPLE_TOOLS: tuple[Tool, ...] = (
    Tool(
        "search", "Search the web.",
        (ToolParameter("query", description="What to look for", draw=_chosen(*_TOPICS)),
         ToolParameter("max_results", "integer", "How many results", required=False,
                       schema={"minimum": 1, "maximum": 20})),
        requests=("Search for {query}", "Look up {query} on the web", "Find me something about {query}",
                  "What does the web say about {query}?", "Search for {query}, {max_results} results",
                  "Give me {max_results} results about {query}"),
        simulate=_search,
    ),
    Tool(
        "calculate", "Work out an arithmetic expression.",
        (ToolParameter("expression", description="Numbers with + - * / and brackets", draw=_expression),),
        requests=("What is {expression}?", "Calculate {expression}", "How much is {expression}?",
                  "Work out {expression}", "I need the result of {expression}"),
        simulate=_calculate,
    ),
    Tool(
        "send_email", "Send an email.",
        (ToolParameter("to", description="Email address", draw=email),
         ToolParameter("subject", description="Subject line", draw=_chosen(*_SUBJECTS)),
         ToolParameter("body", description="Text of the email", draw=_chosen(*_BODIES))),
        requests=('Send an email to {to} with the subject "{subject}" saying {body}',
                  'Email {to}, subject "{subject}", and tell them {body}',
                  'Write to {to} that {body}. The subject is "{subject}"'),
        simulate=_send_email,
    ),
    Tool(
        "get_weather", "Get the weather of a city.",
        (ToolParameter("city", description="Name of the city", draw=place),
         ToolParameter("unit", description="Unit of temperature", required=False, enum=("celsius", "fahrenheit"))),
        requests=("What is the weather in {city}?", "How warm is it in {city} in {unit}?",
                  "Will I need a coat in {city}?", "Weather in {city} in {unit}"),
        simulate=_weather,
    ),
    Tool(
        "create_event", "Put an event into the calendar.",
        (ToolParameter("title", description="What it is", draw=_chosen(*_SUBJECTS)),
         ToolParameter("date", description="Day, YYYY-MM-DD", schema={"format": "date"}, draw=date),
         ToolParameter("time", description="Start, HH:MM", draw=time_of_day)),
        requests=('Put "{title}" into my calendar on {date} at {time}', 'Book "{title}" for {date}, {time}',
                  'New event on {date} at {time}: "{title}"'),
        simulate=_created,
    ),
    Tool(
        "find_contact", "Look up a person's email address and phone number.",
        (ToolParameter("name", description="First name", draw=first_name),),
        requests=("What is {name}'s email address?", "How can I reach {name}?", "Find {name} in my contacts"),
        simulate=_contact,
    ),
    Tool(
        "convert_currency", "Convert an amount of money.",
        (ToolParameter("amount", "number", "How much", draw=money),
         ToolParameter("source", description="Currency it is in", enum=_CURRENCIES),
         ToolParameter("target", description="Currency it is wanted in", enum=_CURRENCIES)),
        requests=("Convert {amount} {source} to {target}", "How much is {amount} {source} in {target}?",
                  "I have {amount} {source}; what is that in {target}?"),
        simulate=_converted,
    ),
    Tool(
        "translate", "Translate a text.",
        (ToolParameter("text", description="What to translate", draw=_chosen(*_WORDS)),
         ToolParameter("language", description="Language to translate to", draw=_chosen(*_LANGUAGES))),
        requests=('Translate "{text}" to {language}', 'How do you say "{text}" in {language}?'),
        simulate=_translation,
    ),
    Tool(
        "set_reminder", "Remind the user of something.",
        (ToolParameter("task", description="What to do", draw=_chosen(*_TASKS)),
         ToolParameter("time", description="When, HH:MM", draw=time_of_day)),
        requests=("Remind me to {task} at {time}", "At {time} I have to {task}, don't let me forget"),
        simulate=_created,
    ),
)  # fmt: skip
