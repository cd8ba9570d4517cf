"""Items of evaluation sets, in every form they come in; what cannot be read is an error that says where."""

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.data import tasks
from orfevre.errors import InputError, RecipeError
from orfevre.recipe import Recipe, from_table

ROWS = [
    {"question": "Why?", "choices": ["one", "two"], "meta": {"note": "n1"}, "gold": 1, "open": True},
    {"question": "How, then?", "choices": ["a", "b"], "meta": {"note": "n2"}, "gold": 0, "open": None},
]


SUFFIXES = st.sampled_from(["", ".gz", ".zst"])


def with_task(table: dict[str, Any], path: Path, **changes: Any) -> Recipe:
    task = {"name": "quiz", "paths": [str(path)], "format": "jsonl", "fields": ["question", "choices"]}
    return from_table(table | {"tasks": [task | changes]}, "tiny.toml")


def items(recipe: Recipe) -> list[str]:
    return [item.text for item in tasks.read(recipe, recipe.tasks[0])]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_json_lines_plain_and_compressed(suffix: str, table: dict[str, Any], tmp_path: Path) -> None:
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"quiz.jsonl{suffix}"
    path.write_bytes(pack(data))
    recipe = with_task(table, path)
    assert items(recipe) == ["Why?\none\ntwo", "How, then?\na\nb"]
    assert [item.location for item in tasks.read(recipe, recipe.tasks[0])] == [f"{path}#1", f"{path}#2"]


def test_json_parquet_csv_and_tsv_say_the_same(table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps(ROWS), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([{"question": row["question"]} for row in ROWS]), tmp_path / "q.parquet")
    (tmp_path / "q.csv").write_text('id,question\n1,Why?\n2,"How, then?"\n', encoding="utf-8")
    (tmp_path / "q.tsv").write_text("1\tWhy?\n2\tHow, then?\n", encoding="utf-8")
    for name, changes in {
        "json": {}, "parquet": {}, "csv": {}, "tsv": {"header": False, "fields": ["2"]},
    }.items():  # fmt: skip
        recipe = with_task(table, tmp_path / f"q.{name}", **({"format": name, "fields": ["question"]} | changes))
        assert items(recipe) == ["Why?", "How, then?"], name


def test_fields_go_into_objects_lists_and_numbers(table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps(ROWS), encoding="utf-8")
    recipe = with_task(table, tmp_path / "q.json", format="json", fields=["meta.note", "gold"])
    assert items(recipe) == ["n1\n1", "n2\n0"]


def test_squad_has_an_item_for_each_question(table: dict[str, Any], tmp_path: Path) -> None:
    questions = [{"question": f"q{n}", "answers": [{"text": f"a{n}"}]} for n in range(2)]
    squad = {"data": [{"title": "t", "paragraphs": [{"context": "c", "qas": questions}]}]}
    (tmp_path / "s.json").write_text(json.dumps(squad), encoding="utf-8")
    recipe = with_task(table, tmp_path / "s.json", format="squad", fields=["context", "question", "answers"])
    assert items(recipe) == ["c\nq0\na0", "c\nq1\na1"]


@pytest.mark.parametrize(
    ("name", "content", "changes", "says"),
    [
        ("q.jsonl", '{"question": "a"}\nnot json\n', {"fields": ["question"]}, "line 2"),
        ("q.jsonl", '{"other": "a"}\n', {"fields": ["question"]}, "its fields are other"),
        ("q.jsonl", '{"question": "a"}\n', {"fields": ["question", "answer"]}, "'answer'; its fields are question"),
        ("q.jsonl", "\n", {}, "holds no items"),
        ("q.json", '{"a": 1}', {"format": "json"}, "not a list"),
        ("q.json", '{"data": [{}]}', {"format": "squad"}, "SQuAD"),
        ("q.jsonl.gz", "plain", {}, "cannot be read as jsonl"),
        ("q.jsonl.zst", "plain", {}, "cannot be read as jsonl"),
        ("q.parquet", "plain", {"format": "parquet"}, "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(
    name: str, content: str, changes: dict[str, Any], says: str, table: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=says) as raised:
        items(with_task(table, tmp_path / name, **changes))
    assert name in str(raised.value) and "tasks.quiz" in str(raised.value)


def test_a_task_without_files_is_an_error(table: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tasks\.quiz\.paths\[0\]"):
        items(with_task(table, tmp_path / "gone.jsonl"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fields": ["a."]}, "empty"),
        ({"format": "tsv", "header": False, "fields": ["question"]}, "numbers of columns"),
        ({"fields": []}, "fields"),
    ],
)
def test_bad_task_tables_are_refused(changes: dict[str, Any], says: str, table: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=says):
        with_task(table, tmp_path / "q.jsonl", **changes)


def test_two_tasks_of_one_name_are_refused(table: dict[str, Any], tmp_path: Path) -> None:
    task = {"name": "quiz", "paths": ["a"], "format": "jsonl", "fields": ["question"]}
    with pytest.raises(RecipeError, match="two tasks are named 'quiz'"):
        from_table(table | {"tasks": [task, task]}, "tiny.toml")


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet", "csv", "tsv", "squad"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text('[]{}",:01\nq', max_size=200).map(str.encode), suffix=SUFFIXES)
def test_any_bytes_are_items_or_an_error_for_people(
    form: str, content: bytes, suffix: str, table: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"q.{form}{suffix}"
    path.write_bytes(content)
    try:
        assert all(text.strip() for text in items(with_task(table, path, format=form, fields=["q"])))
    except InputError as error:
        assert "tasks.quiz" in str(error)


def test_damaged_parquet_and_deep_nesting_are_errors_for_people(table: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(pa.table({"q": ["text"] * 50}), whole := tmp_path / "whole.parquet")
    data = bytearray(whole.read_bytes())
    for place in range(4, len(data) - 8, 7):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        (tmp_path / "q.parquet").write_bytes(damaged)
        with suppress(InputError):
            items(with_task(table, tmp_path / "q.parquet", format="parquet", fields=["q"]))
    (tmp_path / "q.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"q\.json"):
        items(with_task(table, tmp_path / "q.json", format="json"))


REAL = {
    "llm-foundry/arc_challenge.jsonl": (["query", "choices"], "jsonl", 1172),
    "llm-foundry/boolq.jsonl": (["query"], "jsonl", 3270),
    "llm-foundry/gsm8k.jsonl": (["context", "chain_of_thought"], "jsonl", 1319),
    "llm-foundry/human_eval.jsonl": (["prompt", "canonical_solution"], "jsonl", 164),
    "llm-foundry/lambada_openai.jsonl": (["context", "continuation"], "jsonl", 5153),
    "llm-foundry/winogrande.jsonl": (["context_options", "continuation"], "jsonl", 1267),
    "gsm8k_test.jsonl": (["question", "answer"], "jsonl", 1319),
    "mmlu_dev.jsonl": (["question", "choices"], "jsonl", 245),
    "mmlu_test.jsonl": (["question", "choices"], "jsonl", 12513),
    "fr/frenchmedmcqa_dev.json": (["question", "answers"], "json", 312),
    "fr/piaf_v1.0_part.json": (["context", "question", "answers"], "squad", 2442),
    "fr/xwinograd_fr.tsv": (["4"], "tsv", 83),
}


def test_real_sets_are_read_whole(data: Path, table: dict[str, Any]) -> None:
    for name, (fields, form, count) in REAL.items():
        recipe = with_task(table, data / "eval" / name, fields=fields, format=form, header=form != "tsv")
        texts = items(recipe)
        assert len(texts) == count, name
        assert all(text.strip() for text in texts), name
