"""What assistants say: questions for what is missing, answers from results, refusals; and talk that needs no tool."""

import random
from collections.abc import Sequence
from typing import Any

from training.generate.request import lowered
from training.generate.slots import said, words
from training.tools.definition import Json

TALK: tuple[tuple[str, str], ...] = (
    ("Hello!", "Hello! What can I do for you?"),
    ("Good morning.", "Good morning! How can I help?"),
    ("Who are you?", "I am an assistant. I can talk with you and use the tools I have been given."),
    ("Thanks, that was all.", "You're welcome. Have a nice day!"),
    ("How are you today?", "I'm doing well, thank you. What can I do for you?"),
    ("What is the capital of France?", "Paris is the capital of France."),
    ("How many days has a leap year?", "A leap year has 366 days."),
    ("Why is the sky blue?", "Air scatters blue light more than red light, so blue reaches us from all sides."),
    ("What colour do you get from blue and yellow?", "Mixing blue and yellow paint gives green."),
    ("Tell me a joke.", "Why did the bicycle fall over? It was two-tired."),
    ("What is the opposite of early?", "The opposite of early is late."),
    ("Which planet is closest to the sun?", "Mercury is the planet closest to the sun."),
    ("I had a long day.", "I'm sorry to hear that. I hope you can rest a little now."),
    ("What is a haiku?", "A haiku is a short Japanese poem of three lines, often with five, seven and five syllables."),
    ("Do you like music?", "I can't hear it, but I like to talk about it. What do you listen to?"),
    ("What does 'ubiquitous' mean?", "Ubiquitous means being found everywhere."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet."),
    ("Can I freeze bread?", "Yes. Slice it first, wrap it well, and it keeps for about three months."),
    ("What is the plural of mouse?", "The plural of mouse is mice."),
    ("How do I boil an egg?", "Put it into boiling water: six minutes for a soft egg, ten for a hard one."),
    ("Is a tomato a fruit?", "Botanically it is a fruit, in the kitchen a vegetable."),
    ("What is the boiling point of water?", "At sea level water boils at 100 degrees Celsius."),
    ("I can't decide what to read.", "Do you feel like something light or something long?"),
)  # fmt: skip
_SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Use the tools when they help.",
    "You can call functions. Ask for what you need to know first.",
    "Answer briefly.",
)


def system_text(rng: random.Random) -> str:
    return rng.choice(_SYSTEM_TEXTS)


def question(missing: Sequence[str], rng: random.Random) -> str:
    """Asks for parameters, given in words."""
    names = " and the ".join(missing)
    verb = "are" if len(missing) > 1 else "is"
    return rng.choice(
        (f"What {verb} the {names}?", f"I still need to know the {names}. What should it be?",
         f"Could you tell me the {names}?", f"Which {names} would you like?")
    ) if len(missing) == 1 else rng.choice(
        (f"What {verb} the {names}?", f"Could you tell me the {names}?")
    )  # fmt: skip


def answer(result: Any, rng: random.Random) -> str:
    """Tells a result in words that stand in it."""
    facts = [(key, value) for key, value in scalars(result) if not isinstance(value, bool)]
    if not facts:
        return rng.choice(("Done.", "That is done.", "All done!", "It's done."))
    key, value = facts[0]
    texts = [f"The {words(key)} is {said(value)}"]
    if len(facts) > 1 and rng.random() < 0.5:
        texts.append(f"the {words(facts[1][0])} is {said(facts[1][1])}")
    opening = rng.choice(("", "", "Here you are: ", "Done. ", "Okay. "))
    text = " and ".join(texts) + "."
    return opening + (lowered(text) if opening.endswith(": ") else text)


def answers(results: Sequence[Any]) -> str:
    """Tells several results, one sentence each."""
    firsts = [next(((k, v) for k, v in scalars(result) if not isinstance(v, bool)), None) for result in results]
    told = [f"The {words(fact[0])} is {said(fact[1])}." if fact else "That is done." for fact in firsts]
    return " ".join(dict.fromkeys(told))


def follow_up(key: str, value: Any, rng: random.Random) -> tuple[str, str]:
    """A question about a result that is known already, and its answer."""
    asks = rng.choice(
        (f"What was the {words(key)} again?", f"And the {words(key)}?", f"Sorry, what is the {words(key)}?")
    )
    return asks, f"The {words(key)} is {said(value)}."


def decline(abilities: Sequence[str | None], rng: random.Random) -> str:
    """Says that none of the tools in reach, described by `abilities`, can do it."""
    start = rng.choice(
        ("I'm sorry, I can't do that with the tools I have.", "I have no tool for that, sorry.",
         "That is something I can't do here.")
    )  # fmt: skip
    able = [lowered(ability.split(".")[0]) for ability in abilities if ability]
    return f"{start} I can {able[0]}, for example." if able and rng.random() < 0.5 else start


def failure(rng: random.Random) -> Json:
    """A result that tells of a passing failure."""
    return {
        "error": rng.choice(
            ("timeout, try again", "service unavailable, try again", "rate limit reached, try again in a second",
             "connection lost, try again")
        )
    }  # fmt: skip


def not_found(name: str, value: str, rng: random.Random) -> Json:
    """A result that refuses a value."""
    return {
        "error": rng.choice(
            (f"no {words(name)} {value!r}", f"{words(name)} not found: {value}", f"unknown {words(name)} {value}")
        )
    }


def scalars(result: Any) -> list[tuple[str, Any]]:
    """Names and values at the top of a result, or of the first object in it."""
    if isinstance(result, list):
        return scalars(result[0]) if result else []
    if not isinstance(result, dict):
        return [("result", result)] if result is not None else []
    return [(key, value) for key, value in result.items() if isinstance(value, str | int | float)]
