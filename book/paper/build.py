"""The KCC paper as PDF, and CITATION.cff: python -m mtlstudy.paper [PROFILE | citation]

Typst sets book/paper/*.typ. Every number in it comes from the results: the sources are compiled in a folder of their own beside
values.json, the figure, metadata.yml and references.bib, and see nothing else. Fonts come from packages alone (system fonts are
ignored) and the file carries no date, so that the same results give the same bytes everywhere.
"""

import json
import os
import shutil
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from mtlstudy import data
from mtlstudy.training.loop import store as runs
from mtlstudy.training.loop.config import PROFILES, Profile
from mtlstudy.errors import InputError
from mtlstudy.study.results import folder
from mtlstudy.study.phrases import ALPHA
from mtlstudy.study.solver_values import FAILED, power
from mtlstudy.study.format import number
from mtlstudy.training.loop.tune import LEARNING_RATES

BOOK = Path("book")
CITATION = Path("CITATION.cff")
DATA_SETS = ("multi_mnist", "yeast")
FONTS = ("pylopdf-fonts-ko", "koreanize-matplotlib")  # Noto Serif and Sans KR (Regular); NanumGothic (Bold). All OFL 1.1


def compile(review: bool, profile: str = "quick") -> Path:
    """Set the paper: _build/paper/kcc-review.pdf without authors and acknowledgement, or _build/paper/kcc.pdf with them.

    Raises:
        InputError: the results or the figure are missing (the comparison's notebook draws the figure), or Typst warned.
        typst.TypstError: an error in the source, such as a value that the results do not hold.
    """
    import typst

    results = folder(profile)
    parts = [*sorted((BOOK / "paper").glob("*.[ct]*")), BOOK / "metadata.yml", BOOK / "references.bib",
             results / "values.json", results / "figures" / "delta_m.pdf"]  # fmt: skip
    for part in parts:
        if not part.is_file():
            raise InputError(f"{part} is missing: the paper comes after results and notebooks (`make book` makes all)")
    if missing := {"solver", "comparison", "provenance"} - json.loads(parts[-2].read_text(encoding="utf-8")).keys():
        raise InputError(f"{parts[-2]}: no {', '.join(sorted(missing))}; `mtlstudy table NAME --profile {profile}` computes it")
    with TemporaryDirectory() as place:
        root = Path(place).resolve()
        for part in parts:
            shutil.copy(part, root)
        (root / "setting.json").write_text(json.dumps(setting(PROFILES[profile])), encoding="utf-8")
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=font_folders())
        compiler = typst.Compiler(root / "paper.typ", root=root, font_paths=fonts)
        made, warnings = compiler.compile_with_warnings(format="pdf", sys_inputs={"review": str(review).lower()}, timestamp=0)
    assert isinstance(made, bytes)
    if warnings:
        raise InputError(f"book/paper: Typst warns: {'; '.join(warning.message for warning in warnings)}")
    target = runs.root().parent / "_build" / "paper" / ("kcc-review.pdf" if review else "kcc.pdf")
    with runs.placed(target) as part:
        part.write_bytes(made)
    return target


def font_folders() -> list[str]:
    """The folders of the packages' font files."""
    files = [file for name in FONTS for file in distribution(name).files or [] if file.suffix in (".otf", ".ttf")]
    return sorted({str(Path(str(file.locate())).resolve().parent) for file in files})


def setting(profile: Profile) -> dict[str, Any]:
    """What was set before any result, as strings: the profile, learning rates, sizes of the data sets, the bound of failure."""
    low, high = LEARNING_RATES
    found: dict[str, Any] = {name: number(value, 0) for name, value in profile.model_dump().items() if isinstance(value, int)}
    found |= {"lr_low": power(low), "lr_high": power(high), "failed": power(FAILED), "alpha": ALPHA, "data": {}}
    for name in DATA_SETS:
        one = data.get(name)(data.get(name).Options())
        splits = one.load(0)
        found["data"][name] = {
            "tasks": number(len(one.tasks), 0), "inputs": " × ".join(str(n) for n in splits.train.form()),
            **{part: number(getattr(splits, part).sizes()[""], 0) for part in ("train", "validation", "test")},
        }  # fmt: skip
    return found


def citation(metadata: Path = BOOK / "metadata.yml") -> str:
    """The text of CITATION.cff (format 1.2.0), made from the metadata file and the package's version."""
    meta = yaml.safe_load(metadata.read_text(encoding="utf-8"))
    names = [(author["name_en"], author["name_ko"]) for author in meta["authors"]]
    authors, again = ([{"name": en, "alias": ko} for en, ko in names] for _ in range(2))  # one list twice would be a YAML alias
    content = {
        "cff-version": "1.2.0", "message": "If you use this study, please cite it as below.", "type": "software",
        "title": f"mtlstudy: {meta['title_en']}", "version": version("mtlstudy"), "license": "MIT", "authors": authors,
        "keywords": meta["keywords_en"],
        "preferred-citation": {"type": "unpublished", "title": meta["title_ko"], "authors": again},
    }  # fmt: skip
    head = "# Written by `python -m mtlstudy.paper citation` from book/metadata.yml; change that file, not this one.\n"
    return head + str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=130))


def main(arguments: list[str]) -> None:
    """`citation` writes CITATION.cff; a profile (default $MTLSTUDY_PROFILE, then quick) makes both versions of its paper."""
    if arguments == ["citation"]:
        runs.write(CITATION, citation())
        print(CITATION)
        return
    if len(arguments) > 1:
        raise InputError(f"arguments = {' '.join(arguments)!r}; allowed: citation, or one of {', '.join(PROFILES)}")
    profile = arguments[0] if arguments else os.environ.get("MTLSTUDY_PROFILE", "quick")
    for review in (True, False):
        print(compile(review, profile))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"mtlstudy: {error}")
