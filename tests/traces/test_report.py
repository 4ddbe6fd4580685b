"""What readers report: counts by reason, few and harmless examples."""

from traces.report import Report, Tally, clean, joined


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert clean("a\x1b[2Jb\u202ec\u2028d\x00") == "a?[2Jb?c?d?"
    assert clean("ä-Ω phone") == "ä-Ω phone"


def test_long_text_is_cut() -> None:
    assert clean("x" * 80) == "x" * 80
    assert clean("x" * 81) == "x" * 77 + "..."
    assert clean("x" * 10**6, 10) == "xxxxxxx..."


def test_a_tally_counts_by_reason_the_most_frequent_first() -> None:
    tally = Tally()
    tally.drop("reversed interval", "phone 7\x1b")
    tally.drop("unknown event", count=3)
    tally.drop("nothing", "not counted", count=0)
    tally.repair("overlap", "phone 8")
    tally.flag("slot over a day", count=2)
    assert tally.report(5) == Report(
        5,
        (("unknown event", 3), ("reversed interval", 1)),
        (("overlap", 1),),
        ("reversed interval: phone 7?", "overlap: phone 8"),
        (("slot over a day", 2),),
    )


def test_there_are_few_examples_and_one_per_reason() -> None:
    tally = Tally()
    for number in range(20):
        tally.drop("same", f"device {number}")
        tally.drop(f"reason {number}", "y" * 1000)
    examples = tally.report(0).examples
    assert len(examples) == 5
    assert examples[0] == "same: device 0"
    assert examples[1].startswith("reason 0: yyy")
    assert max(map(len, examples)) == 160


def test_reports_add_up() -> None:
    first = Report(3, (("a", 1), ("b", 2)), (), ("one",) * 4)
    second = Report(4, (("a", 5),), (("c", 1),), ("two",) * 4, (("d", 1),))
    assert joined(9, (first, second)) == Report(
        9, (("a", 6), ("b", 2)), (("c", 1),), ("one",) * 4 + ("two",), (("d", 1),)
    )
