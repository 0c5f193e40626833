"""What the comparisons let one say, as Korean sentences that follow from their numbers, whatever they turn out to be."""

from collections.abc import Callable, Mapping
from typing import Any

from mtlstudy.study.format import NONE, label, number

ALPHA = 0.05


def verdict(test: Mapping[str, Any], name: Callable[[str], str] = label) -> str:
    """One sentence on a declared comparison (a row of `statistics.compare`): what interval and Holm's p allow, and no more."""
    pair = f"{name(test['a'])} 대 {name(test['b'])}"
    if test["n"] == 0:
        return f"{pair}: 비교할 수 있는 시드 쌍이 남지 않았다."
    facts = f"평균 차이 {number(test['difference'], sign=True)} %p, Holm 보정 p = {number(test['p_holm'], 3)}"
    limit = f"쌍 {test['n']}개로 얻을 수 있는 가장 작은 p: {number(test['smallest_p'], 3)}"
    side = "높다" if test["difference"] > 0 else "낮다"
    if test["p_holm"] < ALPHA:
        return f"{pair}: Δm이 유의하게 {side} ({facts})."
    if test["low"] > 0 or test["high"] < 0:
        return f"{pair}: 관측된 평균은 {side}. 구간도 0을 벗어나지만 검정으로는 유의하지 않다 ({facts}; {limit})."
    return f"{pair}: 차이가 있다고 말할 수 없다 ({facts}; {limit})."


def findings(values: Mapping[str, Any]) -> list[str]:
    """The study's findings from `comparison.values`: highest and lowest, the declared comparisons, the control, the limits."""
    tested, limits, numbers = values["verdict"], values["limits"], values["number"]
    pooled = "all" if "all" in tested else next(iter(tested))
    lines = []
    for data in sorted(numbers.keys() - {"tests"}):
        own = values[data]
        if own["highest"] == NONE:
            lines.append(f"{own['label']}. 기준 또는 모든 방법의 실행이 발산하여 Δm을 잴 수 없다.")
            continue
        name = {label(method): method for method in numbers[data]}
        ends = [(text, own[key], own[name[own[key]]]) for text, key in (("높은", "highest"), ("낮은", "lowest"))]
        said = [f"Δm이 가장 {text} 방법: {shown} ({row['delta_m']} %, 구간 {row['interval']})" for text, shown, row in ends]
        lines.append(f"{own['label']}. {'; '.join(said)}. 검증 자료로 고른 하드 공유 방법: {own['best_validation']}.")
    lines += tested[pooled].values()
    control = numbers["tests"][pooled].get("nash_equal_norm")
    lines += pooling(tested)
    if control:
        better = control["p_holm"] is not None and control["p_holm"] < ALPHA and control["difference"] > 0
        lines.append(
            "내쉬 가중이 대조군인 동일 노름을 유의하게 앞선다. 그 이득은 기울기의 크기를 맞춘 효과만으로 설명되지 않는다."
            if better
            else "내쉬 가중이 대조군인 동일 노름을 유의하게 앞서지 못한다. 내쉬 가중 고유의 이득은 주장할 수 없다."
        )
    lines += bounds(limits)
    lines.append(f"협상 게임: {limits['games']}번, 그중 풀리지 않은 것: {limits['unsolved']}번.")
    return lines


def pooling(tested: Mapping[str, Any]) -> list[str]:
    """What a test over the pairs (data set, seed) of several data sets may be taken for; nothing where there is one set."""
    sets = len(tested.keys() - {"all"})
    if "all" not in tested:
        return []
    return [
        f"모든 자료를 합친 검정의 쌍은 (자료, 시드)이다. 자료는 {sets}개이고 한 자료의 시드들은 그 자료의 성질을 함께 지니므로 "
        "서로 독립이 아니다. 유의하다는 판정은 이 자료들과 이 프로필의 예산에 대한 것이며, 다른 자료로 넓혀 말할 수 없다."
    ]


def bounds(limits: Mapping[str, str]) -> list[str]:
    """What bounds the findings, from `paired.limits`: intervals, smallest p, learning rates at an edge, diverged runs."""
    lines = [
        f"구간: {limits['interval']}. 시드 {limits['seeds']}개로 만든 구간의 포함 확률은 많아야 {limits['level']} %이며, "
        f"자료 하나 안의 검정이 낼 수 있는 가장 작은 p: {limits['smallest_p']}."
    ]
    if limits["edge"] != "0":
        lines.append(
            f"학습률이 후보의 끝값으로 골라진 칸: (자료, 방법) {limits['cells']}개 가운데 {limits['edge']}개. "
            "이 칸들은 조율이 충분하지 않았을 수 있다."
        )
    return [*lines, f"보고한 실행: {limits['runs']}개, 그중 발산: {limits['diverged']}개."]
