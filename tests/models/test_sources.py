"""Models from other places: plug-ins of installed packages, repositories on a Hub, published layers."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from seqhub.models.conformance import check_conformance
from seqhub.models.registry import build_config, build_model
from tests.helpers import forked_process
from tests.helpers.hub_clients import Client
from tests.helpers.served_hub import a_hub
from tests.helpers.training_processes import finish

SECONDS = 120
CODE = """
from transformers import LlamaConfig, LlamaModel
config = LlamaConfig(
    vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0
)
LlamaModel(config).push_to_hub("me/net")
import json
import torch
import seqhub
from seqhub.errors import SeqhubError
from transformers import AutoModel
theirs = AutoModel.from_pretrained("me/net")
found = {}
for options in ("", "?weights=true", "?hidden_size=8"):
    model = seqhub.build_model(seqhub.build_config("hub:me/net" + options, vocab_size=11, num_labels=3), "token")
    pairs = [(each, theirs.state_dict()[name]) for name, each in model.model.inner.state_dict().items()]
    equal = all(torch.equal(one, two) for one, two in pairs if one.shape == two.shape)
    found[options] = [model.config.output_size, equal]
import pathlib, sys
pathlib.Path("own").mkdir()
pathlib.Path("own/configuration_own.py").write_text(
    "from transformers import PreTrainedConfig\\n"
    "class OwnConfig(PreTrainedConfig):\\n"
    "    model_type = 'own'\\n"
    "    vocab_size: int = 5\\n"
    "    hidden_size: int = 12\\n"
)
pathlib.Path("own/modeling_own.py").write_text(
    "from torch import nn\\n"
    "from transformers import PreTrainedModel\\n"
    "from .configuration_own import OwnConfig\\n"
    "class OwnModel(PreTrainedModel):\\n"
    "    config_class = OwnConfig\\n"
    "    def __init__(self, config):\\n"
    "        super().__init__(config)\\n"
    "        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)\\n"
    "        self.mix = nn.GRU(config.hidden_size, config.hidden_size, batch_first=True)\\n"
    "        self.post_init()\\n"
    "    def forward(self, input_ids=None, **_):\\n"
    "        return self.mix(self.embed(input_ids))\\n"
)
pathlib.Path("own/config.json").write_text(json.dumps({
    "model_type": "own", "hidden_size": 12,
    "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"},
}))
from huggingface_hub import HfApi
HfApi().create_repo("me/own")
HfApi().upload_folder(repo_id="me/own", folder_path="own")
try:
    seqhub.build_config("hub:me/own")
except SeqhubError as error:
    found["untrusted"] = [str(error), any(name.startswith("transformers_modules.me") for name in sys.modules)]
config = seqhub.build_config("hub:me/own?hidden_size=6", trust_remote_code=True, vocab_size=9, num_labels=2)
own = seqhub.build_model(config, "token")
from seqhub.models.conformance import check_conformance
found["own"] = [own.config.output_size, check_conformance(own)["causal"]]
own.save_pretrained("saved")
from transformers import AutoModelForTokenClassification as Auto
again = Auto.from_pretrained("saved", trust_remote_code=True)
ids = torch.ones(1, 3, dtype=torch.long)
found["again"] = bool(torch.equal(own.eval()(input_ids=ids).logits, again(input_ids=ids).logits))
try:
    seqhub.build_config("hub:me/nothing")
except SeqhubError as error:
    found["missing"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
def test_a_repository_gives_its_config_and_on_request_its_weights(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as hub:
        printed = Client(hub.url, tmp_path / "home", hub.writer).run(f"import os\nos.chdir({str(tmp_path)!r})\n{CODE}")
    found = json.loads(printed.splitlines()[-1])
    assert found[""] == [16, False]
    assert found["?weights=true"] == [16, True]
    assert found["?hidden_size=8"][0] == 8
    assert "trust_remote_code" in found["untrusted"][0]
    assert not found["untrusted"][1]
    assert found["own"] == [6, 0.0]
    assert found["again"]
    assert found["missing"].startswith("model hub:me/nothing: ")
    assert "\n" not in found["missing"]


@pytest.mark.timeout(SECONDS)
def test_an_installed_package_names_its_modules(tmp_path: Path) -> None:
    (tmp_path / "tiny_nets.py").write_text((Path(__file__).parent / "modules.py").read_text())
    info = tmp_path / "tiny_nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqhub.models]\ntiny = tiny_nets:Ids\n")
    code = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "from seqhub.models.registry import build_config, family_of, list_plugins\n"
        "config = build_config('tiny?hidden_size=8')\n"
        "print(list_plugins(), family_of('tiny'), config.source, config.hidden_size)\n"
        "from seqhub.cli import main\n"
        "sys.argv = ['seqhub', 'models', 'ls', '--quiet']\n"
        "main()\n"
    )
    process = forked_process.Process(["-c", code], cwd=tmp_path, env=dict(os.environ))
    code_of_exit, out, errors = finish(process, SECONDS)
    assert code_of_exit == 0, errors
    assert out.splitlines()[0] == "{'tiny': 'tiny_nets:Ids'} wrapped tiny_nets:Ids 8"
    assert "tiny" in out.split()


def published_layers() -> list[str]:
    if find_spec("torchrecurrent") is None:
        return ["MGU"]
    import torchrecurrent

    return sorted(name for name in torchrecurrent.__all__ if not name.endswith("Cell"))


@pytest.mark.fast_cases("MGU", "coRNN", "IntersectionRNN")
@pytest.mark.parametrize("name", published_layers())
def test_published_layers(name: str) -> None:
    pytest.importorskip("torchrecurrent", reason="the extra torchrecurrent is not installed")
    torch.manual_seed(0)
    found = check_conformance(
        build_model(build_config(f"torchrecurrent:{name}?hidden_size=16", vocab_size=7, num_labels=3), "token")
    )
    # a unit with a delay reads states from before its last one, which it does not return
    assert found["failed"] == (["cached", "chunked"] if name == "tauGRU" else [])
    assert {"causal", "left_padding", "saved"} <= set(found["passed"])


def test_all_published_layers_are_tested() -> None:
    pytest.importorskip("torchrecurrent", reason="the extra torchrecurrent is not installed")
    assert len(published_layers()) == 41
