import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.synthetic import built_in_fleets, find_statistics, format_statistics, read_statistics
from traces.synthetic.statistics_file import MOST_BYTES, parse_statistics

TEXT = format_statistics(find_statistics("flash"))
ZONES = '\n[zones]\noffset_h = [0, 6.5]\nshare = [0.25, 0.75]\nsource = "by hand"\n'


@pytest.mark.parametrize("name", built_in_fleets())
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    statistics = find_statistics(name)
    assert statistics.name == name
    path = tmp_path / "mine.toml"
    path.write_text(format_statistics(statistics), encoding="utf-8")
    assert read_statistics(path) == statistics


def test_zones_are_read() -> None:
    zones = parse_statistics((TEXT + ZONES).encode(), "x").zones
    assert zones is not None
    assert (zones.offset_h, zones.share) == ((0.0, 6.5), (0.25, 0.75))
    assert format_statistics(parse_statistics((TEXT + ZONES).encode(), "x")).endswith(
        '[zones]\noffset_h = [0.0, 6.5]\nshare = [0.25, 0.75]\nsource = "by hand"\n'
    )


def test_built_in_fleets_are_named_and_every_part_has_its_source() -> None:
    assert built_in_fleets() == ("fedscale", "flash", "paper")
    for name in built_in_fleets():
        statistics = find_statistics(name)
        for part in (statistics.readiness, statistics.network, statistics.hardware):
            assert part is None or len(part.source) > 20


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(ValueError, match=r"named 'Flahs'; did you mean 'flash'.*fedscale, flash, paper"):
        find_statistics("Flahs")
    with pytest.raises(ValueError, match=r"named '\.\./flash'"):
        find_statistics("../flash")
    with pytest.raises(ValueError, match=r"named '\?\[31m'"):
        find_statistics("\x1b[31m")


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "mine.toml: is no TOML file"),
        ('name = "x"', "mine.toml: title is missing"),
        (changed('name = "flash"', "name = 3"), "name must be text"),
        (changed('name = "flash"', 'name = ""'), "name must be text of 1 to 500 characters"),
        (changed("[network]", "[net]"), "net is no key of a synthetic fleet"),
        (changed("days = 5", "days = 5.5"), "availability.days must be a whole number within 1 and 31 .got 5.5"),
        (changed("days = 5", "days = true"), "availability.days must be a whole number"),
        (changed("days = 5", "days = 32"), "availability.days must be a whole number within 1 and 31"),
        (changed("never = 0.2918", "never = 1.5"), "availability.never must be within 0 and 1 .got 1.5"),
        (changed("never = 0.2918", "never = nan"), "availability.never must be within 0 and 1 .got nan"),
        (changed("never = 0.2918", 'never = "few"'), "availability.never must be a number .got 'few'"),
        (changed("never = 0.2918", "never = " + "9" * 400), "availability.never must be a number"),
        (changed("never = 0.2918\n", ""), "availability.never is missing"),
        (changed("never = 0.2918", "never = 0.2918\nseldom = 1"), "availability.seldom is no key"),
        (changed("within = 0.8598", "within = 11.0"), "availability.within must be within 0 and 10"),
        (changed("correlation = 0.7468", "correlation = 2"), "availability.correlation must be within -1 and 1"),
        (changed("0.0, 0.01", "0.1, 0.01"), "availability.probabilities must rise from 0 to 1"),
        (changed("0.0, 0.01", "0.0, 0.0"), "availability.probabilities must rise from 0 to 1"),
        (changed("0.5075, 0.984", "0.5075, 1.0"), "availability.duty must be within 1e-06 and 0.999 .got 1."),
        (changed("0.5075, 0.984", "0.5075"), "availability.duty must have a value for each of the 18"),
        (changed("0.5075, 0.984", "0.984, 0.5075"), "availability.duty must never fall"),
        (changed("45000.0, 221400.0", "45000.0, 1e6"), "availability.length_s must be within 1 and 432000"),
        (changed("4.403, 6.159", "4.403, 6e9"), "availability.per_day must be within 0.001 and 1000"),
        (changed("1.086, 1.184", "1.086"), "availability.hour_of_day must be 24 values with mean 1 .got 23"),
        (
            changed("1.086, 1.184", "2.086, 1.184"),
            "availability.hour_of_day must be 24 values with mean 1 .got 24 that",
        ),
        (changed("1.086, 1.184", "2.27, 0.0"), "availability.hour_of_day must be within 0.01 and 24"),
        (changed("jitter_s = 1800.0", "jitter_s = -1"), "availability.jitter_s must be within 0"),
        (changed("download_bit_per_s = 34540000.0", "download_bit_per_s = 0"), "network.download_bit_per_s must be"),
        (changed("upload_spread = 0.7011", "upload_spread = inf"), "network.upload_spread must be within|a number"),
        (changed("upload_cv = 0.3954", "upload_cv = -0.1"), "network.upload_cv must be within 0"),
        (changed("low = 0.5", "low = 0.6"), "hardware must add up to 1 .got 1.1"),
        (changed("low = 0.5", "low = -0.5"), "hardware must be within 0 and 1 .got -0.5"),
        (TEXT + ZONES.replace("0.25, ", ""), "zones.share must be as many as zones.offset_h"),
        (TEXT + ZONES.replace("6.5", "26.5"), "zones.offset_h must be within -12 and 14 .got 26.5"),
        (TEXT + ZONES.replace("[0, 6.5]", "6"), "zones.offset_h must be a list of numbers"),
        ('name = "x"\ntitle = "x"\nnetwork = 3\n[hardware]', "network must be a table"),
    ],
)
def test_what_is_refused_is_named_with_the_rule(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as error:
        read_statistics(path)
    assert str(error.value).startswith("mine.toml: ")
    assert str(error.value).isprintable()


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match="larger than 262,144 bytes"):
        read_statistics(path)


@given(st.data())
def test_damage_raises_nothing_but_value_errors(data: st.DataObject) -> None:
    raw = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        statistics = parse_statistics(bytes(raw), "x")
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert parse_statistics(format_statistics(statistics).encode(), "x") == statistics
        tomllib.loads(format_statistics(statistics))
