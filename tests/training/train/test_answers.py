"""What the model says, judged; and which evaluation is the best."""

from server.chat.messages import ToolCall
from training.train.answers import judge
from training.train.evaluation import standing

RIGHT = [ToolCall("go", '{"to":"Rome","by":"bus"}')]


def test_the_same_call_has_all_points_whatever_the_order_of_its_arguments() -> None:
    said = [ToolCall("go", '{"by": "bus", "to": "Rome"}', "other-id")]
    assert all(score == total for score, total in judge(RIGHT, said).values())


def test_a_wrong_value_costs_its_argument_and_the_call() -> None:
    points = judge(RIGHT, [ToolCall("go", '{"to":"Oslo","by":"bus"}')])
    assert points == {"choice": (1, 1), "name": (1, 1), "arguments": (1, 2), "exact": (0, 1), "accuracy": (0, 1)}


def test_arguments_that_are_no_json_have_no_points() -> None:
    assert judge(RIGHT, [ToolCall("go", '{"to":"Ro')])["arguments"] == (0, 2)


def test_talk_where_talk_is_right_is_right_and_a_call_is_wrong() -> None:
    assert judge([], []) == {"choice": (1, 1), "accuracy": (1, 1)}
    assert judge([], RIGHT) == {"choice": (0, 1), "accuracy": (0, 1)}
    assert judge(RIGHT, [])["choice"] == (0, 1)


def test_every_call_of_several_counts() -> None:
    two = [*RIGHT, ToolCall("stay", "{}")]
    assert judge(two, list(reversed(two)))["exact"] == (1, 1)
    assert judge(two, RIGHT)["exact"] == (0, 1)


def test_the_best_evaluation_is_the_most_accurate_within_the_budget() -> None:
    seen = [
        (0, {"accuracy": 0.9, "chat_loss": 2.0}),
        (5, {"accuracy": 0.4, "chat_loss": 2.05, "loss": 1.0}),
        (10, {"accuracy": 0.8, "chat_loss": 2.3, "loss": 0.5}),
        (15, {"accuracy": 0.4, "chat_loss": 2.08, "loss": 0.9}),
        (20, {"accuracy": 0.3, "chat_loss": 2.0, "loss": 0.8}),
    ]
    found = standing(seen, budget=0.1)
    assert (found.best_step, found.without_gain) == (15, 1)
    assert standing(seen, budget=1.0).best_step == 10
    assert standing(seen[:1], budget=1.0).best_step is None


def test_without_chat_in_the_file_nothing_is_over_budget() -> None:
    assert standing([(0, {"loss": 1.0}), (5, {"loss": 2.0})], budget=0.0).best_step == 5
