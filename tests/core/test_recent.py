"""What was asked for longest ago goes, by weight, and the last stays whatever it weighs."""

from monai_sr.core import Recent


def test_what_was_asked_for_longest_ago_goes():
    recent = Recent(3)
    for key in "abc":
        recent.put(key, key.upper())
    assert recent.get("a") == "A"
    recent.put("d", "D")
    assert [recent.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_weights_count_once_and_one_stays():
    recent = Recent(10)
    for _ in range(3):
        recent.put("a", "A", 6)
    recent.put("b", "B", 4)
    assert recent.get("a") == "A"
    recent.drop("a")
    recent.drop("a")
    recent.put("c", "C", 6)
    assert recent.get("b") == "B"
    recent.put("d", "D", 100)
    assert [recent.get(key) for key in "abcd"] == [None, None, None, "D"]
