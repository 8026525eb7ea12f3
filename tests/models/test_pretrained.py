"""Released models in the package: complete, equal to their records, and loadable without a Hub."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

import seqhub
from seqhub.evaluation.load import check_files, load_model
from seqhub.models.pretrained import FOLDER, copy_with_code, list_pretrained, pretrained
from seqhub.models.registry import family_folder
from seqhub.records import RunRecord
from seqhub.verification.verify import verify
from tests.cli.test_demo import WITHOUT_SEQHUB
from tests.helpers import forked_process
from tests.helpers.cli_calls import output_of
from tests.helpers.training_processes import finish

SECONDS = 100
MEGABYTE = 10**6
FAMILIES = {  # one model of each family that has released models
    "recurrent": "qrsu-hard-lstm",
    "conv_recurrent": "chirps-direction-cnn_lstm",
    "locally_connected": "windows-k4-n8-locally_connected",
    "recurrent_seq2seq": "date_translation-years1000-2999-gru_seq2seq_additive",
    "sequence_autoencoder": "ramps-tutorial-lstm_autoencoder",
}


def python(code: str, folder: Path, **variables: str) -> str:
    """Return the standard output of code in a process of its own."""
    process = forked_process.Process(["-c", code], cwd=folder, env=os.environ | variables)
    code_, out, errors = finish(process, SECONDS)
    assert code_ == 0, errors
    return out


def test_every_folder_is_complete() -> None:
    names = list_pretrained()
    assert len(names) >= 35
    assert {path.name for path in FOLDER.iterdir()} == set(names)
    for name in names:
        files = {path.name for path in pretrained(name).iterdir()}
        record = RunRecord.load(pretrained(name))
        assert record.name == name
        assert files == {*record.files, "run.json", "README.md", "history.jsonl"}
        check_files(pretrained(name), record)


@pytest.mark.fast_cases("qrsu-easy-*", "square-*", "ramps-tutorial-*", "windows-*", "char_completion-*")
@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_agrees_with_its_record(name: str) -> None:
    findings = verify(pretrained(name))
    assert len(findings) >= 4
    assert [finding for finding in findings if not finding.agrees] == []


def test_the_weights_and_all_files_in_a_wheel_have_at_most_5_megabytes() -> None:
    weights = sum(path.stat().st_size for path in FOLDER.glob("*/*.safetensors"))
    assert weights <= 5 * MEGABYTE
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in FOLDER.rglob("*"):
            archive.write(path, path.relative_to(FOLDER))
    assert len(packed.getvalue()) <= 5 * MEGABYTE


def test_a_model_loads_from_any_folder_without_a_hub(tmp_path: Path) -> None:
    code = (
        "import seqhub\n"
        "from transformers import pipeline\n"
        "folder = str(seqhub.pretrained('qrsu-hard-lstm'))\n"
        "classify = pipeline('text-classification', model=folder)\n"
        "row = seqhub.load_dataset('qrsu', 'hard', split='test', test_size=8, cache_dir='cache')[0]\n"
        "print(classify(row['text'])[0]['label'], 'QRSU'[row['label']])\n"
    )
    answer, label = python(code, tmp_path, HF_ENDPOINT="http://127.0.0.1:9").split()
    assert answer == label


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("qrsu-hrd-lstm", "did you mean qrsu-hard-lstm or qrsu-"),
        ("qrsu-hard-gru", "did you mean qrsu-hard-lstm"),
        ("../models", "known: adding"),
        ("", "known: adding"),
    ],
)
def test_an_unknown_name_is_one_line_with_near_and_known_names(name: str, hint: str) -> None:
    with pytest.raises(seqhub.errors.UnknownNameError) as raised:
        seqhub.pretrained(name)
    message = str(raised.value)
    assert message.startswith(f"no released model {name!r}; ")
    assert hint in message
    assert message.endswith(f"known: {', '.join(list_pretrained())}")
    assert "\n" not in message


def test_every_family_with_released_models_has_an_example() -> None:
    types = {json.loads((pretrained(name) / "config.json").read_text())["model_type"] for name in list_pretrained()}
    assert {family_folder(each).name for each in types} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_with_code_has_the_files_of_save_pretrained(family: str, tmp_path: Path) -> None:
    name = FAMILIES[family]
    copy_with_code(name, tmp_path / "copy")
    load_model(pretrained(name)).save_pretrained(tmp_path / "saved")
    copied, saved = ({p.name: p.read_bytes() for p in (tmp_path / f).glob("*.py")} for f in ("copy", "saved"))
    assert copied
    assert copied == saved
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (tmp_path / "saved/model.safetensors").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_with_code_loads_without_seqhub(family: str, tmp_path: Path) -> None:
    copy_with_code(FAMILIES[family], tmp_path / "copy")
    own = {"sequence_autoencoder": "AutoModel", "recurrent_seq2seq": "AutoModelForSeq2SeqLM"}
    auto_class = own.get(family, "AutoModelForSequenceClassification")
    code = (
        f"{WITHOUT_SEQHUB}\n"
        f"from transformers import {auto_class}\n"
        f"model, info = {auto_class}.from_pretrained('copy', trust_remote_code=True, output_loading_info=True)\n"
        "print(model.num_parameters(), info['missing_keys'], info['unexpected_keys'])\n"
    )
    parameters = RunRecord.load(pretrained(FAMILIES[family])).num_parameters
    assert python(code, tmp_path).split() == [str(parameters), "set()", "set()"]


def test_the_list_of_released_models() -> None:
    assert output_of("models", "ls", "--released", "--quiet").splitlines() == list(list_pretrained())
    values = json.loads(output_of("models", "ls", "--released", "--json"))
    assert [each["name"] for each in values] == list(list_pretrained())
    assert all(Path(each["folder"]) == pretrained(each["name"]) for each in values)
    table = output_of("models", "ls", "--released").splitlines()
    assert [line.split()[0] for line in table[1:] if not line.startswith(" ")] == list(list_pretrained())
    assert all(len(line) <= 80 for line in table)
