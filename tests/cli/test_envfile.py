import click
import pytest

from parley.cli.envfile import parse, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("# a comment\n\n  # another\nA=1 # why\nB=x#y\n", {"A": "1", "B": "x#y"}),
        ("A=\nB=''\nC=\"\"\nD= # nothing\n", {"A": "", "B": "", "C": "", "D": ""}),
        ("A='$HOME \\n #x'", {"A": "$HOME \\n #x"}),
        ('A="one\\ntwo \\"three\\" \\$4 C:\\dir \\\\" # rest\n', {"A": 'one\ntwo "three" $4 C:\\dir \\'}),
        ('A="first\nsecond"\nB=1', {"A": "first\nsecond", "B": "1"}),
        ("A=it's\nB=a=b=c", {"A": "it's", "B": "a=b=c"}),
        ("A=1\nA=2", {"A": "2"}),
        ("exported=1\n", {"exported": "1"}),
        ("", {}),
        ("# only a comment", {}),
    ],
)
def test_what_a_file_says(text, expected):
    assert parse(text, "x.env") == expected


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("A=1\nnonsense-sk-1234", "x.env:2:1", "expected KEY=VALUE"),
        ("A=1\n  B\n", "x.env:2:3", "expected KEY=VALUE"),
        ("1A=2", "x.env:1:1", "expected KEY=VALUE"),
        ("A='never sk-1234", "x.env:1:3", "never closed"),
        ('A="never\nsk-1234', "x.env:1:3", "never closed"),
        ("A='x'sk-1234", "x.env:1:6", "after the closing quote"),
    ],
)
def test_what_is_wrong_names_the_place_and_never_a_value(text, where, what, capsys):
    with pytest.raises(click.exceptions.Exit) as ended:
        parse(text, "x.env")
    said = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert where in said
    assert what in said
    assert "sk-1234" not in said


def test_a_file_from_another_system(tmp_path):
    path = tmp_path / "x.env"
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB='2'\r\n")
    assert read(path) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(("content", "what"), [(None, "No such file"), (b"A=\xff\xfe", "not UTF-8")])
def test_a_file_that_cannot_be_read(tmp_path, content, what, capsys):
    path = tmp_path / "x.env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(click.exceptions.Exit) as ended:
        read(path)
    assert ended.value.exit_code == 2
    assert what in capsys.readouterr().err
