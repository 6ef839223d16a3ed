import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import NetworkTag, NetworkUse, can_be_named, extract_networks, network_uses


@pytest.mark.parametrize(
    ("text", "left", "tags"),
    [
        ("a <lora:ink> b", "a  b", [NetworkTag("lora", "ink")]),
        ("<lora:ink:0.8>", "", [NetworkTag("lora", "ink", ("0.8",))]),
        ("<lora:ink:0.8:0.5:64>", "", [NetworkTag("lora", "ink", ("0.8", "0.5", "64"))]),
        ("<lora:ink:te=0.5:unet=1>", "", [NetworkTag("lora", "ink", (), (("te", "0.5"), ("unet", "1")))]),
        ("<lyco:x:1><hypernet:y:0.3>", "", [NetworkTag("lyco", "x", ("1",)), NetworkTag("hypernet", "y", ("0.3",))]),
        ("<foo_1:bar>", "", [NetworkTag("foo_1", "bar")]),
        ("<lora:a b/c d:1>", "", [NetworkTag("lora", "a b/c d", ("1",))]),
        ("<lora:a=b=c>", "", [NetworkTag("lora", "a=b=c")]),
        ("<lora:te=1>", "", [NetworkTag("lora", "", (), (("te", "1"),))]),
        ("<lora:a<b>c", "c", [NetworkTag("lora", "a<b")]),
        ("<<lora:x>>", "<>", [NetworkTag("lora", "x")]),
        ("[<lora:x:1>::5]", "[::5]", [NetworkTag("lora", "x", ("1",))]),
        ("<lora:x", "<lora:x", []),
        ("<lora:>", "<lora:>", []),
        ("<lora x>", "<lora x>", []),
        ("< lora:x>", "< lora:x>", []),
        ("1 < 2 > 1", "1 < 2 > 1", []),
        ("<lora:x> <lora:y", " <lora:y", [NetworkTag("lora", "x")]),
        ("<lora:x\ny:1>", "", [NetworkTag("lora", "x\ny", ("1",))]),
        ("", "", []),
    ],
)
def test_extract(text: str, left: str, tags: list[Any]) -> None:
    assert extract_networks(text) == (left, tags)


def test_named_arguments_by_name() -> None:
    tag = extract_networks("<lora:x:te=1:dyn=4:te=2>")[1][0]
    assert (tag.get("te"), tag.get("dyn"), tag.get("unet")) == ("2", "4", None)
    assert tag in {tag}


@given(st.text(alphabet="<>:=lora \n", max_size=40))
def test_any_text_is_read(text: str) -> None:
    left, tags = extract_networks(text)
    assert len(left) <= len(text)
    assert (left == text) == (not tags)


names = st.text(alphabet="abc-_. ", min_size=1, max_size=8)


@given(st.lists(st.tuples(names, st.floats(-2, 2).map(str)), max_size=4), names)
def test_tags_round_trip(networks: Any, prompt: Any) -> None:
    text = prompt + "".join(f"<lora:{name}:{weight}>" for name, weight in networks)
    assert extract_networks(text) == (prompt, [NetworkTag("lora", name, (weight,)) for name, weight in networks])


@pytest.mark.parametrize("piece", ["<lora:", "<", "<a", "<lora:x>", "<lora:=:"])
def test_linear(piece: str) -> None:
    start = time.process_time()
    extract_networks(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 2.0


def uses(text: str) -> Any:
    return network_uses(extract_networks(text)[1])


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("<lora:x>", NetworkUse("lora", "x", 1.0, 1.0)),
        ("<lyco:x:-0.5>", NetworkUse("lora", "x", -0.5, -0.5)),
        ("<lora:x:1e-1:2>", NetworkUse("lora", "x", 0.1, 2.0)),
        ("<lora:x:1:1:8>", NetworkUse("lora", "x", 1.0, 1.0, 8)),
        ("<lora:x:1:1:8:extra>", NetworkUse("lora", "x", 1.0, 1.0, 8)),
        ("<lora:x:1:2:te=0.5>", NetworkUse("lora", "x", 0.5, 2.0)),
        ("<lora:x:te=0.5>", NetworkUse("lora", "x", 0.5, 0.5)),
        ("<lora:x:unet=0.5:dyn=4>", NetworkUse("lora", "x", 1.0, 0.5, 4)),
        ("<hypernet:x:0.7>", NetworkUse("hypernet", "x", 1.0, 0.7)),
        ("<hypernet:x>", NetworkUse("hypernet", "x")),
    ],
)
def test_what_a_tag_means(text: str, use: NetworkUse) -> None:
    assert uses(text) == ((use,), ())


@pytest.mark.parametrize("argument", ["abc", "nan", "inf", "", "1:1:1.5", "1:1:-2", "te=much", "1e300", "1:-1e7"])
def test_a_bad_number_leaves_out_that_network_alone(argument: str) -> None:
    found, (sentence,) = uses(f"<lora:good:0.5><lora:bad:{argument}>")
    assert found == (NetworkUse("lora", "good", 0.5, 0.5),)
    assert "<lora:bad>" in sentence and "left out" in sentence


@pytest.mark.parametrize(("name", "fits"), [("ink, (v1) [x] é", True), ("a:b", False), ("a>b", False), ("a=b", False)])
def test_not_every_name_can_stand_in_a_tag(name: str, fits: bool) -> None:
    assert can_be_named(name) is fits


def test_a_tag_without_a_name_and_one_of_no_kind() -> None:
    assert uses("<lora:te=1>")[0] == ()
    assert "names no network" in uses("<lora:te=1>")[1][0]
    assert uses("<wild:x:abc>") == ((), ())
