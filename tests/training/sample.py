"""A little corpus of our own in SGD's form, so that nothing is untested where the public data is absent."""

import json
from pathlib import Path
from typing import Any

SERVICE: dict[str, Any] = {
    "service_name": "Tables_1",
    "description": "Books tables",
    "slots": [
        {"name": "place", "description": "Name of the place", "is_categorical": False, "possible_values": []},
        {"name": "people", "description": "How many", "is_categorical": True, "possible_values": ["1", "2", "3"]},
        {"name": "outside", "description": "In the open", "is_categorical": True, "possible_values": ["True", "False"]},
    ],
    "intents": [
        {
            "name": "BookTable",
            "description": "Book a table",
            "required_slots": ["place", "people"],
            "optional_slots": {"outside": "dontcare"},
        }
    ],
}
PARAPHRASE: dict[str, Any] = {
    **SERVICE,
    "service_name": "Tables_11",
    "slots": [{**slot, "name": f"the_{slot['name']}"} for slot in SERVICE["slots"]],
    "intents": [
        {
            "name": "ReserveSeat",
            "description": "Reserve a seat",
            "required_slots": ["the_place", "the_people"],
            "optional_slots": {"the_outside": "dontcare"},
        }
    ],
}

SUMS = [
    {"question": "6 hens lay 2 eggs each, and 3 are eaten. How many are left?",
     "answer": "They lay 6*2=<<6*2=12>>12.\nThere are 12-3=<<12-3=9>>9.\n#### 9"},
    {"question": "What is a third of 1?", "answer": "It is 1/3=<<1/3=0.33>>0.33.\n#### 0.33"},
    {"question": "How many hens?", "answer": "We are told.\n#### 6"},
]  # fmt: skip
WISHES = {
    "oos_train": [["where do hens come from", "oos"]], "oos_test": [["who invented eggs", "oos"]],
    "train": [["remind me to feed the hens", "reminder"]], "val": [], "test": [], "oos_val": [],
}  # fmt: skip


def user(text: str, **values: list[str]) -> dict[str, Any]:
    return {"speaker": "USER", "utterance": text, "frames": [{"service": "Tables_1", "state": {"slot_values": values}}]}


def call(text: str, **parameters: str) -> dict[str, Any]:
    frame = {
        "service": "Tables_1",
        "service_call": {"method": "BookTable", "parameters": parameters},
        "service_results": [{"place": parameters["place"], "time": "18:00"}],
    }
    return {"speaker": "SYSTEM", "utterance": text, "frames": [frame]}


def talk(text: str, *acts: str) -> dict[str, Any]:
    frame = {"service": "Tables_1", "actions": [{"act": act} for act in acts]}
    return {"speaker": "SYSTEM", "utterance": text, "frames": [frame]}


TURNS = [
    user("A table at Bella Vista, please."),
    talk("For how many?", "REQUEST"),
    user("There are 2 of us.", place=["Bella Vista", "Bella"], people=["2"]),
    call("Done: Bella Vista at six.", people="2", place="Bella Vista"),
]


def write_corpus(folder: Path, dialogues: int = 40) -> Path:
    """A data folder with `sgd` and `chat` as they are when unpacked."""
    sgd = folder / "sgd"
    for split in ("train", "dev", "test", *(f"sgd_x/data/v{n}/train" for n in range(1, 6))):
        (sgd / split).mkdir(parents=True)
        service = PARAPHRASE if "sgd_x" in split else SERVICE
        (sgd / split / "schema.json").write_text(json.dumps([service]))
    for split in ("train", "dev", "test"):
        rows = [{"dialogue_id": f"{n}", "services": ["Tables_1"], "turns": TURNS} for n in range(dialogues)]
        (sgd / split / "dialogues_001.json").write_text(json.dumps(rows))
    persona = folder / "chat" / "persona" / "data"
    persona.mkdir(parents=True)
    rows = 'a,b,"User 1: Hi, who are you?\nUser 2: A bird. And you?\nUser 1: A cat."\n' * 3
    (persona / "Synthetic-Persona-Chat_train.csv").write_text(
        f"user 1 personas,user 2 personas,Best Generated Conversation\n{rows}"
    )
    trivia = folder / "chat" / "trivia" / "categories"
    trivia.mkdir(parents=True)
    sums = folder / "chat" / "gsm8k" / "grade_school_math" / "data"
    sums.mkdir(parents=True)
    (sums / "train.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in SUMS))
    wishes = folder / "chat" / "clinc150" / "data"
    wishes.mkdir(parents=True)
    (wishes / "data_full.json").write_text(json.dumps(WISHES))
    (trivia / "animals").write_text("#Q What says moo?\n^ A cow\nA A cow\nB A fox\n\n")
    return folder
