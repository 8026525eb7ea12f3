"""BibTeX entries of a task's source and of the methods that a run used."""

import re

from seqhub.cards import cell_papers
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY

_FORGET_GATE = """@article{gers2000learning,
  author  = {Gers, Felix A. and Schmidhuber, J{\\"u}rgen and Cummins, Fred},
  title   = {Learning to Forget: Continual Prediction with {LSTM}},
  journal = {Neural Computation},
  volume  = {12},
  number  = {10},
  pages   = {2451--2471},
  year    = {2000}
}"""
_GRU = """@inproceedings{cho2014learning,
  author    = {Cho, Kyunghyun and van Merri{\\"e}nboer, Bart and Gulcehre, Caglar and Bahdanau, Dzmitry and
               Bougares, Fethi and Schwenk, Holger and Bengio, Yoshua},
  title     = {Learning Phrase Representations using {RNN} Encoder-Decoder for Statistical Machine Translation},
  booktitle = {Proceedings of EMNLP},
  pages     = {1724--1734},
  year      = {2014}
}"""
_ELMAN = """@article{elman1990finding,
  author  = {Elman, Jeffrey L.},
  title   = {Finding Structure in Time},
  journal = {Cognitive Science},
  volume  = {14},
  number  = {2},
  pages   = {179--211},
  year    = {1990}
}"""
_CHRONO = """@inproceedings{tallec2018can,
  author    = {Tallec, Corentin and Ollivier, Yann},
  title     = {Can Recurrent Neural Networks Warp Time?},
  booktitle = {International Conference on Learning Representations},
  year      = {2018}
}"""
_IDENTITY = """@misc{le2015simple,
  author = {Le, Quoc V. and Jaitly, Navdeep and Hinton, Geoffrey E.},
  title  = {A Simple Way to Initialize Recurrent Networks of Rectified Linear Units},
  note   = {arXiv:1504.00941},
  year   = {2015}
}"""

_SEQUENCE_TO_SEQUENCE = """@inproceedings{sutskever2014sequence,
  author    = {Sutskever, Ilya and Vinyals, Oriol and Le, Quoc V.},
  title     = {Sequence to Sequence Learning with Neural Networks},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {27},
  year      = {2014}
}"""
_ADDITIVE = """@inproceedings{bahdanau2015neural,
  author    = {Bahdanau, Dzmitry and Cho, Kyunghyun and Bengio, Yoshua},
  title     = {Neural Machine Translation by Jointly Learning to Align and Translate},
  booktitle = {International Conference on Learning Representations},
  year      = {2015}
}"""
_MULTIPLICATIVE = """@inproceedings{luong2015effective,
  author    = {Luong, Minh-Thang and Pham, Hieu and Manning, Christopher D.},
  title     = {Effective Approaches to Attention-based Neural Machine Translation},
  booktitle = {Proceedings of EMNLP},
  pages     = {1412--1421},
  year      = {2015}
}"""

# model preset or initialisation -> what to cite
_METHODS = {
    "lstm": (LONG_SHORT_TERM_MEMORY, _FORGET_GATE),
    "gru": (_GRU,),
    "rnn_tanh": (_ELMAN,),
    "rnn_relu": (_ELMAN,),
    "forget_bias": (_FORGET_GATE,),
    "chrono": (_CHRONO,),
    "identity": (_IDENTITY,),
}
for _cell in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
    _METHODS |= {f"cnn_{_cell}": _METHODS[_cell], f"{_cell}_autoencoder": _METHODS[_cell]}
for _cell in ("lstm", "gru"):
    _METHODS |= {
        f"{_cell}_seq2seq": (*_METHODS[_cell], _SEQUENCE_TO_SEQUENCE),
        f"{_cell}_seq2seq_additive": (*_METHODS[_cell], _ADDITIVE),
        f"{_cell}_seq2seq_multiplicative": (*_METHODS[_cell], _MULTIPLICATIVE),
    }
_METHODS |= {f"torchrecurrent:{name}": (cell_papers.entry(name),) for name in cell_papers.PAPERS}
_METHODS |= {f"ncps.torch:{name}": (cell_papers.entry(name, "ncps"),) for name in cell_papers.NCPS}


def bibliography(source: str, *methods: str) -> str:
    """Return the source of a task and the entries of the named methods, each once, in this order.

    >>> [line for line in bibliography("@misc{mine,}", "chrono", "no such method").splitlines() if "@" in line]
    ['@misc{mine,}', '@inproceedings{tallec2018can,']
    """
    entries = [*([source] if source else []), *(entry for method in methods for entry in _METHODS.get(method, ()))]
    by_key: dict[str, str] = {}
    for entry in entries:
        by_key.setdefault(re.split(r"[{,]", entry)[1].strip(), entry.strip())
    return "\n\n".join(by_key.values())
