"""The office of the three-tool agent: contacts, a calendar, an outbox."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, find, text


def _find_contact(state: Json, name: str) -> Json:
    return dict(find(state["contacts"], "contact", name=name))


def _create_event(state: Json, title: str, date: str, time: str, attendee: str = "") -> Json:
    if any((event["date"], event["time"]) == (date, time) for event in state["events"]):
        raise WorldError(f"{date} {time} is taken")
    event = {"title": title.casefold(), "date": date, "time": time, "attendee": attendee.casefold()}
    state["events"].append(event)
    return {"created": len(state["events"])}


def _send_email(state: Json, to: str, subject: str, body: str = "") -> Json:
    if "@" not in to:
        raise WorldError(f"{to!r} is no email address")
    state["outbox"].append({"to": to.casefold(), "subject": subject.casefold(), "body": body.casefold()})
    return {"sent": True}


OFFICE = World(
    "office",
    (
        Tool(
            "find_contact", "Look up a person's email address and phone.", {"name": text("First name")}, _find_contact
        ),
        Tool(
            "create_event",
            "Put an event into the calendar.",
            {
                "title": text("What it is"),
                "date": text("Day, YYYY-MM-DD"),
                "time": text("Start, HH:MM"),
                "attendee": text("First name of a person to invite"),
            },
            _create_event,
            ("title", "date", "time"),
        ),
        Tool(
            "send_email",
            "Send an email.",
            {"to": text("Email address"), "subject": text("Subject line"), "body": text("Text")},
            _send_email,
            ("to", "subject"),
        ),
    ),
    {
        "contacts": [
            {"name": "Ada", "email": "ada@example.org", "phone": "555-0101"},
            {"name": "Bruno", "email": "bruno@example.org", "phone": "555-0102"},
            {"name": "Chidi", "email": "chidi@example.org", "phone": "555-0103"},
        ],
        "events": [{"title": "stand-up", "date": "2026-03-02", "time": "09:00", "attendee": ""}],
        "outbox": [],
    },
)
