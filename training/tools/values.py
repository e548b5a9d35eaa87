"""Draws values such as users say: names, places, dates, made-up words. Made-up ones can only be copied."""

import random
import string

_PLACES = (
    "Paris", "London", "Rome", "Berlin", "Tokyo", "Madrid", "Vienna", "Lisbon", "Oslo", "Chicago", "Boston", "Delhi",
    "Cairo", "Dublin", "Seattle", "Nairobi", "Lima", "Prague", "Zurich", "Sydney", "New York", "Buenos Aires",
)  # fmt: skip
_NAMES = (
    "Ada", "Bruno", "Chidi", "Dana", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kemal", "Lucia", "Mina",
    "Noor", "Olga", "Pedro", "Quinn", "Rosa", "Sven", "Tomas", "Uma", "Vera", "Wanda", "Yusuf", "Zoe",
)  # fmt: skip


def place(rng: random.Random) -> str:
    return rng.choice(_PLACES) if rng.random() < 0.6 else invented(rng)


def first_name(rng: random.Random) -> str:
    return rng.choice(_NAMES) if rng.random() < 0.7 else invented(rng)


def full_name(rng: random.Random) -> str:
    return f"{first_name(rng)} {invented(rng)}"


def email(rng: random.Random) -> str:
    return f"{first_name(rng).lower()}@{rng.choice(('example.org', 'example.com', f'{invented(rng).lower()}.example'))}"


def date(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def time_of_day(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02}"


def money(rng: random.Random) -> float:
    return rng.randint(1, 999) if rng.random() < 0.5 else round(rng.uniform(1, 999), 2)


def code(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 7)))


def phrase(rng: random.Random) -> str:
    """One to three made-up words."""
    return " ".join(invented(rng) for _ in range(rng.randint(1, 3)))


def invented(rng: random.Random) -> str:
    """A word that is none."""
    parts = [rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))]
    return (parts[0] + rng.choice(("", "", "n", "r", "s", "l")) + "".join(parts[1:])).capitalize()
