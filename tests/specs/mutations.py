"""What can go wrong with a spec, one function for each kind. Each changes a job in place and says where it did."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from tests.api.cases import invalid_cases, merged, valid_cases
from tests.specs.places import Path, Place, find, fitting, places, put, spelled

Job = dict[str, Any]
Mutation = Callable[[Job, Random], list[Path]]

TEXTS = (
    "", " ", "a", "A", "-", ".", "..", "/", "//", "/a", "a/", "a b", "a\n", "\na", "a\tb", "/a\vb", "/a\fb", "/a\x1cb",
    "a\x00b", "/a\x00b", "é", "e\u0301", "ß", "İ", "１", "१", "\u00a0", "/a\u00a0b", "/a\u2028b", "\u202e/a",
    "\ufeff/a", "/\U0001f4a5", "a" * 63, "a" * 64, "/" + "a" * 511, "/" + "a" * 512, "/" + "\U0001f4a5" * 511,
    "/" + "\U0001f4a5" * 512, "true", "null", "1", "1e3", "0x10", "1h", "1h\n", "0s", "00h", "1d", "-1h", "1.5h",
    "9999999h", "999999h999999m999999s", "%s", "{given}", "{nodes}", "'", '"', "\\", "$(HOME)", "${X}", "{{ x }}",
    "x/y/z", "org/model", "train[:10%]", "train+test", "all-linear", "RANK", "/dev/shm", "peft-fsdp-x", "nvidia.com/g",
    "http://", "https://h", "ftp://h", "1Gi", "1gi", "0.5", ".5", "1.", "+1", "1e3Gi", "9" * 32,
)  # fmt: skip
HUGE_TEXT = "x" * 40_000
NUMBERS = (
    -1, 0, 1, 2, 3, 64, 65, 1024, 1025, 65536, 65537, 4294967295, 4294967296, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63), -(2**63) - 1, 10**30, 0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 1e-7, 1e-320, 1e16, 1e21, 1e300, 16.0, 2.0**63,
)  # fmt: skip
OTHERS = (None, True, False, [], {}, [[]], [{}], [None], {"": 1}, {"a": None}, [1], ["a"], {"a": "b"}, {"a": {"b": []}})


def another_type(job: Job, random: Random) -> list[Path]:
    place = random.choice(places())
    return _set(job, place.path, deepcopy(random.choice((*OTHERS, random.choice(NUMBERS), random.choice(TEXTS)))))


def at_the_bounds(job: Job, random: Random) -> list[Path]:
    place = random.choice([one for one in places() if _takes_number(one)])
    return _set(job, place.path, random.choice(_numbers(place)))


def a_strange_text(job: Job, random: Random) -> list[Path]:
    place = random.choice([one for one in places() if _takes_text(one)])
    return _set(job, place.path, random.choice(_texts(place)))


def odd_values(place: Place) -> list[Any]:
    """Those of the type that the place takes."""
    return [*(_texts(place) if _takes_text(place) else ()), *(_numbers(place) if _takes_number(place) else ())]


def _numbers(place: Place) -> list[int | float]:
    bounds = [
        place.node[key] for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in place.node
    ]
    return [*(bound + step for bound in bounds for step in (-1, -0.5, 0, 0.0, 0.5, 1, 1e-9)), *NUMBERS]


def _texts(place: Place) -> list[str]:
    limit = place.node.get("maxLength")
    longest = ["a" * length for length in (limit, limit + 1)] if limit else []
    known = [text for text in place.samples if isinstance(text, str)]
    bent = [
        bend(text) for text in known for bend in (str.upper, str.title, "{}\n".format, " {}".format, "{}\u0301".format)
    ]
    return [*TEXTS, *longest, *bent, HUGE_TEXT]


def an_unknown_field(job: Job, random: Random) -> list[Path]:
    place = random.choice([one for one in places() if "properties" in one.node])
    name = random.choice(["rank", "gpus_per_node", "Model", "x", "spec", "é", "a.b", "nodes", "-", "name", "value"])
    return _set(job, (*place.path, name), random.choice([1, "x", {}, [], None]))


def a_null(job: Job, random: Random) -> list[Path]:
    return _set(job, random.choice(places()).path, None)


def left_out(job: Job, random: Random) -> list[Path]:
    """A field that stands there, required or not."""
    path = _one_that_stands(job, random)
    if path is not None:
        del find(job, path[:-1])[path[-1]]
    return [path] if path else []


def one_level_off(job: Job, random: Random) -> list[Path]:
    """A value inside a list or an object of its own, or pulled up to where its object stood."""
    path = _one_that_stands(job, random)
    if path is None:
        return []
    value = find(job, path)
    if random.random() < 0.3 and len(path) > 2:
        return _set(job, path[:-1], value)
    return _set(job, path, random.choice([[value], {str(path[-1]): value}, {"spec": value}]))


def elsewhere(job: Job, random: Random) -> list[Path]:
    """A section or field under another one."""
    path, into = _one_that_stands(job, random), random.choice(places()).path
    return _set(job, (*into, path[-1]), deepcopy(find(job, path))) if path else []


def twice_in_a_list(job: Job, random: Random) -> list[Path]:
    """Too many items, or the same one twice."""
    place = random.choice([one for one in places() if "items" in one.node])
    items = find(job, place.path) or next((deepcopy(one) for one in place.samples if one), None) or ["a"]
    if not isinstance(items, list):
        return []
    times = random.choice([2, 2, 2, place.node.get("maxItems", 3), place.node.get("maxItems", 3) + 1])
    return _set(job, place.path, [deepcopy(items[n % len(items)]) for n in range(max(2, times))])


def a_strange_key(job: Job, random: Random) -> list[Path]:
    place = random.choice(
        [one for one in places() if "additionalProperties" in one.node and "properties" not in one.node]
    )
    key = random.choice([*TEXTS, HUGE_TEXT[:400], "a" * 250 + ".b/c", "a.b/" + "c" * 63, "a.b/" + "c" * 64])
    return _set(job, (*place.path, key), random.choice(["a", "", 1, None, "1Gi", "a" * 64, {}]))


def many_keys(job: Job, random: Random) -> list[Path]:
    place = random.choice(
        [one for one in places() if "additionalProperties" in one.node and "properties" not in one.node]
    )
    count = random.choice([1, place.node.get("maxProperties", 64), place.node.get("maxProperties", 64) + 1])
    return _set(job, place.path, {f"key-{number}": "1" for number in range(count)})


def fields_that_fit(job: Job, random: Random) -> list[Path]:
    """Values that are right each by itself: what comes of it, the rules between fields say."""
    paths = []
    for _ in range(random.randint(1, 4)):
        place = random.choice(places()[1:])
        value = deepcopy(fitting(place, random))
        if value is not None:
            paths += _set(job, place.path, value)
    return paths


def a_known_case(job: Job, random: Random) -> list[Path]:
    """One of the table's, over a spec it was not written for."""
    case = random.choice([*invalid_cases(), *valid_cases()])
    if not isinstance(job["spec"], dict):
        return []
    job["spec"] = merged(job["spec"], case.change)
    if case.remove:
        job.get("spec").pop(case.remove, None)
    sections = [*case.change, *([case.remove] if case.remove else [])]
    return [("spec", section) for section in sections]


def a_name(job: Job, random: Random) -> list[Path]:
    job["metadata"]["name"] = random.choice([*TEXTS, "a" * 52, "a" * 53, "a" * 54, "0a", "a-", "a.b"])
    return [("metadata", "name")]


def deep(job: Job, random: Random) -> list[Path]:
    """An object in which objects stand, further down than anybody writes."""
    place = random.choice([one for one in places() if one.node.get("type") in ("object", "array")])
    value: Any = 1
    for level in range(random.choice([5, 50, 150])):
        value = [value] if level % 3 == 0 else {"a": value}
    return _set(job, place.path, value if isinstance(value, dict) else {"a": value})


MUTATIONS: tuple[Mutation, ...] = (
    another_type, another_type, at_the_bounds, at_the_bounds, a_strange_text, a_strange_text, an_unknown_field, a_null,
    left_out, one_level_off, elsewhere, twice_in_a_list, a_strange_key, many_keys, fields_that_fit, fields_that_fit,
    a_known_case, a_known_case, a_name, deep,
)  # fmt: skip


def _one_that_stands(job: Job, random: Random) -> Path | None:
    there = [one.path for one in places() if len(one.path) > 1 and find(job, one.path) is not None]
    return random.choice(there) if there else None


def _takes_number(place: Place) -> bool:
    return place.node.get("type") in ("integer", "number") or "x-kubernetes-int-or-string" in place.node


def _takes_text(place: Place) -> bool:
    return place.node.get("type") == "string" or "x-kubernetes-int-or-string" in place.node


def _set(job: Job, path: Path, value: Any) -> list[Path]:
    return [path] if put(job, path, value) else []


def mutate(job: Job, random: Random) -> tuple[str, list[str]]:
    """One change: its kind and the places it touched."""
    mutation = random.choice(MUTATIONS)
    return mutation.__name__, [spelled(path) for path in mutation(job, random)]
