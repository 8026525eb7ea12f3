"""Croissant metadata of a dataset: its files, splits and columns as JSON-LD.

Source: MLCommons Croissant 1.1, and `libcommon.croissant_utils` of the public dataset viewer for types of columns.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from seqhub.server.viewer.discovery import Config
from seqhub.server.viewer.feature_types import Feature, kind_of

MAX_CONFIGS: Final = 100
MAX_COLUMNS: Final = 1000

_ENCODINGS = {"parquet": "application/x-parquet", "csv": "text/csv", "json": "application/jsonlines"}
_TYPES = {
    "binary": "sc:Text", "bool": "sc:Boolean", "date32": "sc:Date", "date64": "sc:Date", "float16": "cr:Float16",
    "float32": "cr:Float32", "float64": "cr:Float64", "int8": "cr:Int8", "int16": "cr:Int16", "int32": "cr:Int32",
    "int64": "cr:Int64", "large_string": "sc:Text", "string": "sc:Text", "uint8": "cr:UInt8", "uint16": "cr:UInt16",
    "uint32": "cr:UInt32", "uint64": "cr:UInt64",
}  # fmt: skip
_MEDIA = {"Image": "sc:ImageObject", "Audio": "sc:AudioObject"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_metadata(
    url: str,
    name: str,
    card: Mapping[str, Any],
    configs: Sequence[Config],
    features: Mapping[str, Mapping[str, Feature]],
) -> dict[str, Any]:
    """Return the metadata of a dataset.

    Args:
        url: Page of the dataset.
        name: Repository id.
        card: Fields of the README.
        configs: Configs.
        features: Features by config and column; configs that cannot be read are missing.
    """
    title = card.get("pretty_name")
    license_name = card.get("license")
    known: dict[str, Any] = {
        "name": _id(name.partition("/")[2], set()),
        "alternateName": [name, *([title] if isinstance(title, str) else [])],
        "description": f"The dataset {name}.",
        "license": license_name if isinstance(license_name, str) else None,
        "creator": {"@type": "Organization", "name": name.partition("/")[0]},
        "url": url,
    }
    return croissant_crumbs(url, configs, features) | {name: value for name, value in known.items() if value}


def croissant_crumbs(
    url: str, configs: Sequence[Config], features: Mapping[str, Mapping[str, Feature]]
) -> dict[str, Any]:
    """Return the parts of the metadata that describe files and columns; see `croissant_metadata`."""
    repository: dict[str, Any] = {
        "@type": "cr:FileObject",
        "@id": "repo",
        "name": "repo",
        "description": "The git repository of the dataset.",
        "contentUrl": url,
        "encodingFormat": "git+https",
        "sha256": "https://github.com/mlcommons/croissant/issues/80",
    }
    distribution, record_sets, ids = [repository], [], {"repo"}
    for config in [config for config in configs if config.name in features][:MAX_CONFIGS]:
        files = _id(f"files-for-config-{config.name}", ids)
        paths = [path for paths in config.splits.values() for path in paths]
        distribution.append(
            {
                "@type": "cr:FileSet",
                "@id": files,
                "containedIn": {"@id": "repo"},
                "encodingFormat": _ENCODINGS[config.format],
                "includes": paths if len(paths) > 1 else paths[0],
            }
        )
        record_sets += _record_sets(config, features[config.name], files, ids)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "distribution": distribution,
        "recordSet": record_sets,
    }


def _record_sets(config: Config, features: Mapping[str, Feature], files: str, ids: set[str]) -> list[dict[str, Any]]:
    name = _id(config.name, ids)
    splits = f"{name}_splits"
    fields, skipped = [], []
    used: set[str] = set()
    for column, feature in list(features.items())[:MAX_COLUMNS]:
        field = _field(f"{name}/{_id(column, used)}", column, feature, files)
        if field is None:
            skipped.append(column)
        else:
            fields.append(field)
    description = f"Config {config.name} with the splits {', '.join(config.splits)}."
    if skipped:
        description += f" Columns of other types: {', '.join(skipped)}."
    return [
        {
            "@type": "cr:RecordSet",
            "dataType": "cr:Split",
            "key": {"@id": f"{splits}/split_name"},
            "@id": splits,
            "name": splits,
            "description": f"Splits of the config {config.name}.",
            "field": [{"@type": "cr:Field", "@id": f"{splits}/split_name", "dataType": "sc:Text"}],
            "data": [{f"{splits}/split_name": split} for split in config.splits],
        },
        {"@type": "cr:RecordSet", "@id": name, "description": description, "field": fields},
    ]


def _field(id: str, column: str, feature: Feature, files: str) -> dict[str, Any] | None:
    """Return the description of a column; None for a type that Croissant does not have."""
    kind, shape = kind_of(feature), []
    while kind in ("List", "LargeList"):
        shape.append(str(feature.get("length", -1)))
        feature = feature["feature"]
        kind = kind_of(feature)
    data_type = "sc:Integer" if kind == "ClassLabel" else _MEDIA.get(kind)
    if kind == "Value":
        dtype = str(feature["dtype"])
        data_type = "sc:DateTime" if dtype.startswith("timestamp") else _TYPES.get(dtype)
    if data_type is None:
        return None
    source: dict[str, Any] = {"fileSet": {"@id": files}, "extract": {"column": column}}
    if kind in _MEDIA:
        source["transform"] = {"jsonPath": "bytes"}
    field = {"@type": "cr:Field", "@id": id, "dataType": data_type, "source": source}
    return field | ({"isArray": True, "arrayShape": ",".join(shape)} if shape else {})


def _id(text: str, ids: set[str]) -> str:
    """Return a text as an id that is not in use, and add it."""
    found = re.sub(r"[^a-zA-Z0-9\-_.]", "_", text)
    while found in ids:
        found += "_0"
    ids.add(found)
    return found
