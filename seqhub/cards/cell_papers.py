"""Papers of the layers of torchrecurrent and ncps, with the links that their documentation gives."""

from typing import NamedTuple


class Paper(NamedTuple):
    """A paper.

    Args:
        authors: As in BibTeX; empty if they are not known.
        title: Title; empty if it is not known.
        year: Year of the first publication; None if it is not known.
        link: Address.
    """

    authors: str
    title: str
    year: int | None
    link: str


_ARXIV = "https://arxiv.org/abs/"
_ANTISYMMETRIC = Paper(
    "Chang, Bo and Chen, Minmin and Haber, Eldad and Chi, Ed H.",
    "AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks",
    2019,
    f"{_ARXIV}1902.09689",
)
_BISTABLE = Paper(
    "Vecoven, Nicolas and Ernst, Damien and Drion, Guillaume",
    "A bio-inspired bistable recurrent cell allows for long-lasting memory",
    2021,
    "https://doi.org/10.1371/journal.pone.0252676",
)
_DEEP_GATE = Paper("Gao, Yuan and Glowacka, Dorota", "Deep Gate Recurrent Neural Network", 2016, f"{_ARXIV}1604.02910")
_FAST = Paper(
    "Kusupati, Aditya and Singh, Manish and Bhatia, Kush and Kumar, Ashish and Jain, Prateek and Varma, Manik",
    "FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated Recurrent Neural Network",
    2018,
    f"{_ARXIV}1901.02358",
)
_CAPACITY = Paper(
    "Collins, Jasmine and Sohl-Dickstein, Jascha and Sussillo, David",
    "Capacity and Trainability in Recurrent Neural Networks",
    2016,
    f"{_ARXIV}1611.09913",
)
_EMPIRICAL = Paper(
    "Jozefowicz, Rafal and Zaremba, Wojciech and Sutskever, Ilya",
    "An Empirical Exploration of Recurrent Network Architectures",
    2015,
    "https://proceedings.mlr.press/v37/jozefowicz15.pdf",
)
_MINION = Paper(
    "Zyarah, Abdullah M. and Kudithipudi, Dhireesha",
    "Minion Gated Recurrent Unit for Continual Learning",
    2025,
    "https://doi.org/10.1016/j.neucom.2026.132847",
)
_TYPED = Paper(
    "Balduzzi, David and Ghifary, Muhammad",
    "Strongly-Typed Recurrent Neural Networks",
    2016,
    f"{_ARXIV}1602.02218",
)

PAPERS = {
    "ATR": Paper(
        "Zhang, Biao and Xiong, Deyi and Su, Jinsong and Lin, Qian and Zhang, Huiji",
        "Simplifying Neural Machine Translation with Addition-Subtraction Twin-Gated Recurrent Networks",
        2018,
        f"{_ARXIV}1810.12546",
    ),
    "AntisymmetricRNN": _ANTISYMMETRIC,
    "BR": _BISTABLE,
    "CFN": Paper(
        "Laurent, Thomas and von Brecht, James",
        "A Recurrent Neural Network Without Chaos",
        2016,
        f"{_ARXIV}1612.06212",
    ),
    "DSGU": _DEEP_GATE._replace(link="https://proceedings.mlr.press/v63/gao30.html"),
    "FastGRNN": _FAST,
    "FastRNN": _FAST,
    "GatedAntisymmetricRNN": _ANTISYMMETRIC,
    "IndRNN": Paper(
        "Li, Shuai and Li, Wanqing and Cook, Chris and Zhu, Ce and Gao, Yanbo",
        "Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
        2018,
        f"{_ARXIV}1803.04831",
    ),
    "IntersectionRNN": _CAPACITY,
    "JANET": Paper(
        "van der Westhuizen, Jos and Lasenby, Joan",
        "The Unreasonable Effectiveness of the Forget Gate",
        2018,
        f"{_ARXIV}1804.04849",
    ),
    "LEM": Paper(
        "Rusch, T. Konstantin and Mishra, Siddhartha and Erichson, N. Benjamin and Mahoney, Michael W.",
        "Long Expressive Memory for Sequence Modeling",
        2021,
        "https://arxiv.org/pdf/2110.04744",
    ),
    "LiGRU": Paper(
        "Ravanelli, Mirco and Brakel, Philemon and Omologo, Maurizio and Bengio, Yoshua",
        "Light Gated Recurrent Units for Speech Recognition",
        2018,
        f"{_ARXIV}1803.10225",
    ),
    "LightRU": Paper(
        "Ye, Hong and Zhang, Yibing and Liu, Huizhou and Li, Xuannong and Chang, Jiaming and Zheng, Hui",
        "Light Recurrent Unit: Towards an Interpretable Recurrent Neural Network for Modeling Long-Range Dependency",
        2024,
        "https://www.mdpi.com/2079-9292/13/16/3204",
    ),
    "MCLSTM": Paper(
        "Ben-Ari, Itamar and others",
        "Sequence Modeling Using a Memory Controller Extension for LSTM",
        2017,
        "https://www.intel.com/content/dam/www/public/us/en/ai/documents/Sequence-Modeling-NIPS-2017.pdf",
    ),
    "MGU": Paper(
        "Zhou, Guo-Bing and Wu, Jianxin and Zhang, Chen-Lin and Zhou, Zhi-Hua",
        "Minimal Gated Unit for Recurrent Neural Networks",
        2016,
        f"{_ARXIV}1603.09420",
    ),
    "MUT1": _EMPIRICAL,
    "MUT2": _EMPIRICAL,
    "MUT3": _EMPIRICAL,
    "MiRU1": _MINION,
    "MiRU2": _MINION,
    "MinimalRNN": Paper(
        "Chen, Minmin",
        "MinimalRNN: Toward More Interpretable and Trainable Recurrent Neural Networks",
        2017,
        f"{_ARXIV}1711.06788",
    ),
    "MultiplicativeLSTM": Paper(
        "Krause, Ben and Lu, Liang and Murray, Iain and Renals, Steve",
        "Multiplicative LSTM for Sequence Modelling",
        2016,
        f"{_ARXIV}1609.07959",
    ),
    "NAS": Paper(
        "Zoph, Barret and Le, Quoc V.",
        "Neural Architecture Search with Reinforcement Learning",
        2016,
        f"{_ARXIV}1611.01578",
    ),
    "NBR": _BISTABLE,
    "OriginalLSTM": Paper(
        'Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen',
        "Long Short-Term Memory",
        1997,
        "https://ieeexplore.ieee.org/abstract/document/6795963",
    ),
    "PeepholeLSTM": Paper(
        'Gers, Felix A. and Schraudolph, Nicol N. and Schmidhuber, J{\\"u}rgen',
        "Learning Precise Timing with LSTM Recurrent Networks",
        2002,
        "https://www.jmlr.org/papers/volume3/gers02a/gers02a.pdf",
    ),
    "RAN": Paper(
        "Lee, Kenton and Levy, Omer and Zettlemoyer, Luke",
        "Recurrent Additive Networks",
        2017,
        "https://arxiv.org/pdf/1705.07393",
    ),
    "ResLSTM": Paper(
        "Kim, Jaeyoung and El-Khamy, Mostafa and Lee, Jungwon",
        "Residual LSTM: Design of a Deep Recurrent Architecture for Distant Speech Recognition",
        2017,
        f"{_ARXIV}1701.03360",
    ),
    "SCRN": Paper(
        "Mikolov, Tomas and Joulin, Armand and Chopra, Sumit and Mathieu, Michael and Ranzato, Marc'Aurelio",
        "Learning Longer Memory in Recurrent Neural Networks",
        2014,
        "https://arxiv.org/pdf/1412.7753",
    ),
    "SGRN": Paper("", "", None, "https://doi.org/10.1049/gtd2.12056"),
    "SGU": _DEEP_GATE,
    "STAR": Paper(
        "Turkoglu, Mehmet Ozgur and D'Aronco, Stefano and Wegner, Jan Dirk and Schindler, Konrad",
        "Gating Revisited: Deep Multi-layer RNNs That Can Be Trained",
        2019,
        f"{_ARXIV}1911.11033",
    ),
    "TGRU": _TYPED,
    "TLSTM": _TYPED,
    "TRNN": _TYPED,
    "UGRNN": _CAPACITY,
    "UnICORNN": Paper(
        "Rusch, T. Konstantin and Mishra, Siddhartha",
        "UnICORNN: A Recurrent Model for Learning Very Long Time Dependencies",
        2021,
        f"{_ARXIV}2103.05487",
    ),
    "WMCLSTM": Paper(
        "Landi, Federico and Baraldi, Lorenzo and Cornia, Marcella and Cucchiara, Rita",
        "Working Memory Connections for LSTM",
        2021,
        f"{_ARXIV}2109.00020",
    ),
    "coRNN": Paper(
        "Rusch, T. Konstantin and Mishra, Siddhartha",
        "Coupled Oscillatory Recurrent Neural Network (coRNN): An Accurate and (Gradient) Stable Architecture for "
        "Learning Long Time Dependencies",
        2020,
        f"{_ARXIV}2010.00951",
    ),
    "tauGRU": Paper(
        "Erichson, N. Benjamin and Lim, Soon Hoe and Mahoney, Michael W.",
        "Gated Recurrent Neural Networks with Weighted Time-Delay Feedback",
        2022,
        f"{_ARXIV}2212.00228",
    ),
}
"""Name of a layer of torchrecurrent -> its paper."""


NCPS = {
    "CfC": Paper(
        "Hasani, Ramin and Lechner, Mathias and Amini, Alexander and Liebenwein, Lucas and Ray, Aaron and "
        "Tschaikowski, Max and Teschl, Gerald and Rus, Daniela",
        "Closed-form Continuous-time Neural Networks",
        2021,
        f"{_ARXIV}2106.13898",
    ),
    "LTC": Paper(
        "Hasani, Ramin and Lechner, Mathias and Amini, Alexander and Rus, Daniela and Grosu, Radu",
        "Liquid Time-constant Networks",
        2021,
        "https://ojs.aaai.org/index.php/AAAI/article/view/16936",
    ),
}
"""Name of a layer of ncps -> its paper."""


def entry(name: str, package: str = "torchrecurrent") -> str:
    """Return the BibTeX entry of the paper of a layer.

    Args:
        name: Name of the layer.
        package: `torchrecurrent` or `ncps`.

    >>> print(entry("MinimalRNN"))
    @misc{torchrecurrent-MinimalRNN,
      author = {Chen, Minmin},
      title  = {MinimalRNN: Toward More Interpretable and Trainable Recurrent Neural Networks},
      year   = {2017},
      url    = {https://arxiv.org/abs/1711.06788}
    }
    """
    paper = (NCPS if package == "ncps" else PAPERS)[name]
    fields = {"author": paper.authors, "title ": paper.title, "year  ": paper.year, "url   ": paper.link}
    lines = ",\n".join(f"  {field} = {{{value}}}" for field, value in fields.items() if value)
    return f"@misc{{{package}-{name},\n{lines}\n}}"
