# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 성능
#
# **물음.** 정확한 협상은 얼마나 비싼가? 풀이 하나, 학습의 한 단계, 학습 전체가 각각 얼마나 걸리고 메모리를 얼마나 쓰며, 과제와 모형이 커지면 비용은
# 어떻게 늘어나는가? 그리고 그 비용을 줄이려면 무엇을 골라야 하는가?

# %% tags=["parameters"]
profile = "quick"

# %%
from mtlstudy.study import benchmarks, claims, performance, tables
from mtlstudy.study.figures import performance as figures

frames = benchmarks.frames()
targets = performance.targets(frames)
shown = tables.show(targets, "성능의 목표와 측정값", "tab-performance-targets")
display(performance.missing(frames, profile), shown)

# %% [markdown]
# ## 어떻게 쟀는가
#
# **재는 법.** 견주는 방법들을 한 번의 실행 안에서 차례를 바꾸어 가며 번갈아 재고, 같은 차례에 잰 기준에 대한 비를 구한다. 기계가 느려지면 모두 함께
# 느려지므로 비는 그 영향을 거의 받지 않는다. 값은 중앙값이고 괄호는 사분위 범위이다. 시간 자체는 잰 기계의 것이므로, 다른 기계에서는 `mtlstudy bench`
# 명령으로 다시 재어야 한다. 책을 만들 때에는 아무것도 재지 않고, 이미 잰 파일을 읽기만 한다.
#
# **비교 대상.** 풀이는 볼록-오목 절차(CCP)와 원뿔 계획에 견준다. 단계의 기준은 한계, 곧 모든 과제의 기울기를 쓰는 방법이라면 피할 수 없는 계산이다.
# 순전파를 한 번, 공유하는 몸통의 역전파를 과제마다 한 번씩 하고, 그 밖에는 아무것도 하지 않는다. 관행의 절차는 공개 코드처럼 손실마다 기울기를
# 구하고 CCP로 가중치를 얻은 뒤 가중합을 다시 미분하는 것이다. 다른 코드의 저장소를 주면(`--peer`) 그 가중 클래스를 고치지 않고 같은 모형에 부른다.
#
# **목표.** 기준은 재기 전에 정하였다. 이루지 못한 것도 그대로 적는다.

# %% [markdown]
# ## 풀이
#
# 조건이 좋은 그램 행렬 하나를 푸는 시간이다. '이어서'는 조금 다른 행렬의 해에서 시작한 것이고, 나머지는 아무것도 모르는 데서 시작한다. 이 연구가 다시
# 짠 CCP는 K마다 한 번만 계획을 컴파일하며, 그 시간은 '계획을 짜는 첫 호출'에만 들어 있다. 공개된 코드와 그것을 이은 TorchJD의 계획은 풀 때마다 다시
# 컴파일되는 꼴이므로 그 시간이 함께 들어 있다. 오래 걸리는 풀이는 과제가 많은 곳에서 재지 않았다.
#
# 빠르기만 한 풀이는 쓸모가 없으므로, 일부러 어렵게 만든 행렬에서의 실패도 함께 적는다. 실패와 조용한 실패의 뜻은 {doc}`solver`에서 정한 것과 같으며,
# 스스로 상태를 알리지 않는 풀이의 실패는 모두 조용하다.

# %% mystnb={"figure": {"caption": "과제의 수에 따른 풀이 하나의 시간. 점은 중앙값, 막대는 사분위 범위이다.", "name": "fig-performance-solver"}, "image": {"alt": "풀이별 시간의 중앙값을 과제의 수에 대해 양쪽 로그 축에 그린 꺾은선 그림"}}
figures.solver(frames["solver"])

# %%
tables.Tables(
    tables.show(table(frames["solver"]), caption, f"tab-performance-{table.__name__}")
    for table, caption in (
        (performance.single, "풀이 하나의 시간 (µs)"),
        (performance.batched, "행렬 N개를 풀 때 행렬 하나의 시간 (µs)"),
        (performance.stress, "어려운 합성 행렬에서의 실패"),
    )
)

# %% [markdown]
# ## 한 단계
#
# 같은 모형, 같은 배치, 같은 최적화기로 잰 한 단계의 시간과 최대 메모리이다. 메모리는 모형, 기울기, 최적화기의 상태를 뺀 것이며, 다음 단계에 다시 쓰려고
# 붙들어 두는 과제 기울기도 든다. 과제 기울기를 구하는 방식은 셋이다. 하나씩 차례로(sequential), 한꺼번에
# 묶어서(batched), 몇 개씩 묶어서(chunked) 미분하며, 셋의 결과는 반올림 오차까지 같다. 표현 수준은 매개변수가 아니라 공유 표현의 기울기로 협상하므로
# 다른 게임이다. '5단계마다'는 다섯 단계에 한 번만 협상하고 그 사이에는 가중치를 유지한 것으로, 한 단계의 평균 시간이다. 잔차와 조용한 실패는 그
# 단계에서 실제로 쓴 가중치에서 센다.

# %% mystnb={"figure": {"caption": "과제의 수에 따른 한 단계의 시간(위, 한계에 대한 비)과 최대 메모리(아래). 점은 중앙값, 막대는 사분위 범위이고 점선은 한계이다.", "name": "fig-performance-steps"}, "image": {"alt": "MLP와 Transformer에서 방법별 한 단계의 시간과 메모리를 과제의 수에 대해 로그 축에 그린 꺾은선 그림"}}
figures.steps(frames["step"])

# %%
tables.Tables(
    tables.show(performance.step(frames["step"], model), f"{performance.name(model)}의 한 단계: 한계에 대한 시간의 비. 오른쪽 네 열은 K가 가장 클 때의 값", f"tab-performance-{model}")
    for model in performance.MODELS
)  # fmt: skip

# %% [markdown]
# 자기 모형을 자기 학습 루프에서 학습하는 사람은 `Balancer.backward`를 부른다({doc}`own_model`). 그 비용을 작은 모형 둘에서, 같은 모형에 쓴 TorchJD의
# `mtl_backward`와 autogram, 공개된 Nash-MTL의 클래스와 함께 적는다. 기준은 이 연구의 학습 루프가 내쉬 가중으로 밟는 단계이다. 그 단계는 몸통과 머리의
# 경계를 미리 알지만, `Balancer.backward`는 어느 손실이 어디에 닿는지를 매번 계산 그래프에서 읽는다. 작은 모형에서는 미분이 아닌 일의 몫이 크므로 그 값이
# 가장 잘 드러난다. CPU에서는 다른 프로세스에 밀린 시간을 빼고 처리기가 쓴 시간을 잰다.

# %%
tables.Tables(
    tables.show(performance.step(frames["own"], model), f"{performance.name(model)}의 한 단계: 학습 루프의 내쉬 단계에 대한 시간의 비. 오른쪽 네 열은 K가 가장 클 때의 값", f"tab-performance-{model.replace('_', '-')}")
    for model in performance.OWN
)  # fmt: skip

# %% [markdown]
# ## 학습 전체와 규모
#
# 학습 루프는 단계 말고도 배치를 뽑고, 검증 자료로 평가하고, 기록하고, 체크포인트를 쓴다. 아래 첫 그림은 full 프로필의 일정으로 학습할 때 시간이 어디에 드는지를,
# 둘째 그림은 과제, 매개변수, 입력의 길이가 늘어날 때 시간이 어떻게 늘어나는지를 보인다. 표의 지수는 크기의 위쪽 절반에서 맞춘 로그-로그
# 직선의 기울기이며, 1이면 크기에 비례한다.

# %% mystnb={"figure": {"caption": "학습 시간의 구성. 막대 하나가 자료와 가중 방식 하나의 학습이다.", "name": "fig-performance-loop"}, "image": {"alt": "자료와 가중 방식별로 학습 시간 가운데 단계, 배치 뽑기, 평가, 기록, 체크포인트가 차지하는 몫을 쌓은 막대 그림"}}
figures.loop(frames["train"])

# %% mystnb={"figure": {"caption": "규모에 따른 시간. 점은 중앙값, 막대는 사분위 범위이다.", "name": "fig-performance-scaling"}, "image": {"alt": "과제의 수, 매개변수의 수, 입력의 길이에 따른 한 단계의 시간과 과제의 수에 따른 풀이의 시간을 양쪽 로그 축에 그린 꺾은선 그림"}}
figures.scaling(frames["scale"])

# %%
tables.Tables(
    tables.show(table(frames[bench]), caption, f"tab-performance-{table.__name__}")
    for table, bench, caption in (
        (performance.loop, "train", "학습 루프: 단계만 되풀이한 시간에 대한 비"),
        (performance.ratios, "train", "방법별 한 단계: 하드 공유와 균등 가중에 대한 시간의 비"),
        (performance.scaling, "scale", "규모에 대한 지수, 가장 큰 크기에서의 비용"),
    )
)

# %% [markdown]
# ## 알아낸 것과 권고
#
# 먼저 알아낸 것을 적고, 이어서 무엇을 고를지를 적는다. 문장과 표는 모두 위에서 잰 값에서 정해진 규칙으로 나온 것이며, 다시 재면 함께 바뀐다. 권고는
# 시간과 메모리만 보고 정한다. 표현 수준은 다른 게임이고 드문 협상은 묵은 가중치를 쓰므로 학습의 결과가 달라질 수 있으나, 여기서는 그것을 재지 않았다.
# 그래서 매개변수 수준을 지키려는 사람을 위한 선택도 함께 적는다.

# %%
rules = tables.prose("**고르는 규칙.** 수준: 표현 수준이 단계의 시간을 {saved} % 이상 줄이고 사분위 범위도 겹치지 않으면 표현, 그 밖에는 매개변수. "
                 "미분 방식: 가장 빠른 것. 사분위 범위가 그것과 겹치는 것이 여럿이면 메모리를 가장 적게 쓰는 것, 메모리의 차이가 {even} % "
                 "이내이면 더 단순한 것. update_every: 단계의 평균 시간이 평균 손실로 학습하는 단계의 {budget}배를 넘지 않는 가장 작은 값. "
                 "설정 `mode=\"auto\"`는 실행을 시작할 때 첫 배치에서 재어 미분 방식을 고른다.", **performance.RULES)  # fmt: skip
advice = tables.show(
    performance.advice(frames["step"]),
    "모형과 과제의 수에 따른 권고. 배: 평균 손실로 학습하는 단계에 대한 비",
    "tab-performance-advice",
)
findings = tables.bullets(claims.sentences(performance.findings(frames)))
further = tables.bullets(claims.sentences(performance.further(frames)))
display(findings, rules, advice, further, performance.stamp())
